// The container images of the cluster itself and of the conformance suite, packed from binaries that were built here.

import { generateKeyPairSync } from 'node:crypto'
import {
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { issueLeaf, selfSignedRoot } from '../../packages/runtime/src/certificates/index.ts'
import { pauseImage } from './node-files.ts'
import { type ImageFile, type ImageSettings, packImage } from './oci.ts'
import { paths } from './settings.ts'

const suite = 'registry.k8s.io/gateway-api/conformance'

const binary = (name: string, path: string): ImageFile => ({
  path,
  bytes: readFileSync(join(paths.bin, name)),
  mode: 0o755,
})

/** Name of the archive, the binaries it is made of, and the image. */
interface Recipe {
  readonly name: string
  readonly binaries: readonly string[]
  readonly image: () => ImageSettings
}

const recipes: readonly Recipe[] = [
  {
    name: 'pause',
    binaries: ['pause'],
    image: () => ({ references: [pauseImage], entrypoint: ['/pause'], files: [binary('pause', '/pause')] }),
  },
  {
    name: 'coredns',
    binaries: ['coredns'],
    image: () => ({
      references: ['wishbone.dev/cluster/coredns:1'],
      entrypoint: ['/coredns'],
      files: [binary('coredns', '/coredns')],
    }),
  },
  {
    name: 'echo-basic',
    binaries: ['echo-basic'],
    image: () => ({
      references: [`${suite}/echo-basic:v0.1.0`, `${suite}/echo-basic:v0.2.0`],
      entrypoint: ['/echo-basic'],
      user: '65532:65532',
      files: [binary('echo-basic', '/echo-basic')],
    }),
  },
  {
    name: 'echo-advanced',
    binaries: ['echo-server', 'echo-client'],
    image: () => ({
      references: [`${suite}/echo-advanced:v0.1.0`],
      entrypoint: ['/usr/local/bin/server'],
      user: '65532:65532',
      files: [
        binary('echo-server', '/usr/local/bin/server'),
        binary('echo-client', '/usr/local/bin/client'),
        ...echoCertificate(),
      ],
    }),
  },
]

/** The echo server's own TLS certificate; nobody checks who signed it. */
function echoCertificate(): readonly ImageFile[] {
  const ttlSeconds = 10 * 365 * 24 * 3600
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = selfSignedRoot({ organization: 'echo', ttlSeconds })
  const { pem } = issueLeaf({ publicKey, dnsSans: ['echo', '*.svc.cluster.local'], ttlSeconds, signer })
  return [
    { path: '/cert.crt', bytes: Buffer.from(pem) },
    { path: '/cert.key', bytes: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string) },
  ]
}

/** Packs what is missing or older than its binaries into the cache, and gives every archive to the cluster. */
export function prepareImages(): void {
  const folder = join(paths.cache, 'images')
  mkdirSync(folder, { recursive: true })
  mkdirSync(paths.images, { recursive: true })
  for (const { name, binaries, image } of recipes) {
    const archive = join(folder, `${name}.tar`)
    const newest = Math.max(...binaries.map((one) => statSync(join(paths.bin, one)).mtimeMs))
    if (!existsSync(archive) || statSync(archive).mtimeMs < newest) {
      writeFileSync(`${archive}.${process.pid}`, packImage(image(), architecture()))
      renameSync(`${archive}.${process.pid}`, archive)
    }
    keepImage(archive)
  }
}

export function architecture(): 'amd64' | 'arm64' {
  if (process.arch === 'x64') return 'amd64'
  if (process.arch === 'arm64') return 'arm64'
  throw new Error(`a cluster runs on amd64 and arm64, not on ${process.arch}`)
}

/** How many archives besides the cluster's own are kept. */
const keptArchives = 6

/** Copies an archive to where every node that starts without images finds it; the oldest of too many go. */
export function keepImage(archive: string): string {
  const kept = join(paths.images, basename(archive))
  if (kept === archive) return kept
  const partial = join(paths.images, `.${process.pid}.partial`)
  copyFileSync(archive, partial, constants.COPYFILE_FICLONE)
  renameSync(partial, kept)
  const own = recipes.map(({ name }) => `${name}.tar`)
  const ageOf = (name: string): number => statSync(join(paths.images, name)).ctimeMs
  const others = readdirSync(paths.images).filter((name) => name.endsWith('.tar') && !own.includes(name))
  for (const name of others.sort((a, b) => ageOf(b) - ageOf(a)).slice(keptArchives)) rmSync(join(paths.images, name))
  return kept
}
