// How the image `wishbone` is run. deploy/image/Dockerfile says the same; a test compares them.
import { nonRoot } from './base.ts'
import type { ImageSettings } from './oci.ts'
import { home } from './place.ts'

export const settings: ImageSettings = {
  entrypoint: ['/usr/local/bin/node', '--disable-warning=ExperimentalWarning', `/${home}/launch.mjs`],
  workingDir: `/${home}`,
  env: {
    PATH: '/usr/local/bin',
    NODE_ENV: 'production',
    // Memory of large buffers stays with the process instead of being faulted in anew (bench: −15 % CPU).
    MALLOC_TRIM_THRESHOLD_: '268435456',
    MALLOC_MMAP_THRESHOLD_: '33554432',
    MALLOC_TOP_PAD_: '4194304',
  },
  user: `${nonRoot}:${nonRoot}`,
}
