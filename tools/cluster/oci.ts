// Packs files into an OCI image archive of one layer: what `docker save` would make, without Docker.
import { createHash } from 'node:crypto'

export interface ImageFile {
  /** Absolute, inside the image. */
  readonly path: string
  readonly bytes: Buffer
  readonly mode?: number
}

export interface ImageSettings {
  readonly references: readonly string[]
  readonly entrypoint: readonly string[]
  readonly user?: string
  readonly files: readonly ImageFile[]
}

const block = 512
const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** One ustar entry. Times and owners are zero, so that equal content has equal digests. */
function entry(name: string, bytes: Buffer, mode: number, type: '0' | '5'): Buffer {
  if (Buffer.byteLength(name) > 100) throw new Error(`'${name}' is too long for a simple tar entry`)
  const header = Buffer.alloc(block)
  const octal = (value: number, at: number, length: number): number =>
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at)
  header.write(name, 0)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(bytes.length, 124, 12)
  octal(0, 136, 12)
  header.write('        ', 148)
  header.write(type, 156)
  header.write('ustar\x0000', 257)
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  )
  return Buffer.concat([header, bytes, Buffer.alloc((block - (bytes.length % block)) % block)])
}

function tar(files: readonly ImageFile[], directories: readonly (readonly [string, number])[] = []): Buffer {
  return Buffer.concat([
    ...directories.map(([name, mode]) => entry(`${name}/`, Buffer.alloc(0), mode, '5')),
    ...files.map(({ path, bytes, mode }) => entry(path.replace(/^\//, ''), bytes, mode ?? 0o644, '0')),
    Buffer.alloc(2 * block),
  ])
}

const base: readonly ImageFile[] = [
  {
    path: '/etc/passwd',
    bytes: Buffer.from('root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n'),
  },
  { path: '/etc/group', bytes: Buffer.from('root:x:0:\nnonroot:x:65532:\n') },
]

/** The archive's bytes, for this machine's architecture. */
export function packImage(image: ImageSettings, architecture: 'amd64' | 'arm64'): Buffer {
  const folders = ['dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'usr', 'usr/local', 'usr/local/bin', 'var'] as const
  const layer = tar(
    [...base, ...image.files],
    folders.map((name) => [name, name === 'tmp' ? 0o1777 : 0o755]),
  )
  const config = json({
    architecture,
    os: 'linux',
    config: {
      Entrypoint: image.entrypoint,
      Env: ['PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'],
      User: image.user ?? '',
    },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digestOf(layer)}`] },
  })
  const describe = (mediaType: string, bytes: Buffer): Record<string, unknown> => ({
    mediaType: `application/vnd.oci.image.${mediaType}`,
    digest: `sha256:${digestOf(bytes)}`,
    size: bytes.length,
  })
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: describe('config.v1+json', config),
    layers: [describe('layer.v1.tar', layer)],
  })
  const index = json({
    schemaVersion: 2,
    manifests: image.references.map((reference) => ({
      ...describe('manifest.v1+json', manifest),
      platform: { architecture, os: 'linux' },
      annotations: { 'io.containerd.image.name': reference, 'org.opencontainers.image.ref.name': reference },
    })),
  })
  return tar([
    { path: 'oci-layout', bytes: json({ imageLayoutVersion: '1.0.0' }) },
    { path: 'index.json', bytes: index },
    ...[layer, config, manifest].map((bytes) => ({ path: `blobs/sha256/${digestOf(bytes)}`, bytes })),
  ])
}
