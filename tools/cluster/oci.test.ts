import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { packImage } from './oci.ts'

const extract = (archive: Buffer, name: string): Buffer =>
  spawnSync('tar', ['-xOf', '-', name], { input: archive, maxBuffer: 1 << 26 }).stdout

test('an archive in which every digest fits and every file is found', () => {
  const files = [{ path: '/usr/local/bin/x', bytes: Buffer.from('#!x\n'), mode: 0o755 }]
  const image = { references: ['a/b:1', 'a/b:2'], entrypoint: ['/x'], user: '7', files }
  const archive = packImage(image, 'arm64')
  expect(packImage(image, 'arm64').equals(archive)).toBe(true)
  const blob = ({ digest, size }: { digest: string; size: number }): Buffer => {
    const bytes = extract(archive, `blobs/${digest.replace(':', '/')}`)
    expect(bytes).toHaveLength(size)
    expect(`sha256:${createHash('sha256').update(bytes).digest('hex')}`).toBe(digest)
    return bytes
  }
  const { manifests } = JSON.parse(extract(archive, 'index.json').toString())
  expect(
    manifests.map((one: { annotations: Record<string, string> }) => one.annotations['io.containerd.image.name']),
  ).toEqual(['a/b:1', 'a/b:2'])
  const manifest = JSON.parse(blob(manifests[0]).toString())
  const config = JSON.parse(blob(manifest.config).toString())
  expect(config).toMatchObject({ architecture: 'arm64', config: { Entrypoint: ['/x'], User: '7' } })
  const layer = blob(manifest.layers[0])
  expect(config.rootfs.diff_ids).toEqual([manifest.layers[0].digest])
  expect(extract(layer, 'usr/local/bin/x').toString()).toBe('#!x\n')
  const listing = spawnSync('tar', ['-tvf', '-'], { input: layer, encoding: 'utf8' }).stdout
  expect(listing).toMatch(/^-rwxr-xr-x 0\/0 .* usr\/local\/bin\/x$/m)
  expect(listing).toMatch(/^drwxrwxrwt 0\/0 .* tmp\/$/m)
})
