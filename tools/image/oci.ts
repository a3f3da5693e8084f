// OCI image archives (image-layout 1.0.0): what `ctr images import`, `podman load` and `skopeo` read.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Entry } from './entry.ts'
import { architecture, cacheFolder } from './place.ts'
import { type Blob, writeTar } from './tar.ts'

export interface ImageSettings {
  readonly entrypoint: readonly string[]
  readonly command?: readonly string[]
  readonly workingDir?: string
  readonly env: Readonly<Record<string, string>>
  readonly user: string
}

export interface Image {
  /** Of the manifest: the same content has the same digest. */
  readonly digest: string
  readonly size: number
  readonly blobs: readonly Blob[]
}

/** An image of the given layers, lowest first. */
export function makeImage(layers: readonly Blob[], settings: ImageSettings): Image {
  const config = jsonBlob({
    architecture,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: {
      Entrypoint: settings.entrypoint,
      ...(settings.command === undefined ? {} : { Cmd: settings.command }),
      ...(settings.workingDir === undefined ? {} : { WorkingDir: settings.workingDir }),
      Env: Object.entries(settings.env).map(([name, value]) => `${name}=${value}`),
      User: settings.user,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  })
  const manifest = jsonBlob({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: config.size },
    layers: layers.map(({ digest, size }) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size })),
  })
  return { digest: manifest.digest, size: manifest.size, blobs: [...layers, config, manifest] }
}

/** The name by which a container runtime looks an image up: a short name means Docker's library. */
export function fullName(name: string): string {
  const [first = ''] = name.split('/')
  if (!name.includes('/')) return `docker.io/library/${name}`
  return /[.:]|^localhost$/.test(first) ? name : `docker.io/${name}`
}

/** Writes one archive of the images under their names; not if the file has exactly these already. */
export function writeArchive(file: string, images: readonly { readonly name: string; readonly image: Image }[]): void {
  const index = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: images.map(({ name, image: { digest, size } }) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest,
      size,
      platform: { architecture, os: 'linux' },
      annotations: { 'io.containerd.image.name': fullName(name), 'org.opencontainers.image.ref.name': fullName(name) },
    })),
  })
  const note = `${file}.index.json`
  if (existsSync(file) && existsSync(note) && readFileSync(note, 'utf8') === index) return
  const blobs = new Map(images.flatMap(({ image }) => image.blobs.map((blob) => [blob.digest, blob])))
  writeTar(file, [
    { kind: 'text', path: 'oci-layout', text: '{"imageLayoutVersion":"1.0.0"}' },
    { kind: 'text', path: 'index.json', text: index },
    ...[...blobs.values()].map(
      (blob): Entry => ({
        kind: 'copy',
        path: `blobs/sha256/${blob.digest.slice('sha256:'.length)}`,
        from: blob.file,
        executable: false,
      }),
    ),
  ])
  writeFileSync(note, index)
}

function jsonBlob(value: unknown): Blob {
  const text = JSON.stringify(value)
  const hex = createHash('sha256').update(text).digest('hex')
  const file = join(cacheFolder('manifests'), hex)
  writeFileSync(file, text)
  return { file, digest: `sha256:${hex}`, size: Buffer.byteLength(text) }
}
