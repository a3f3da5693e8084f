// `npm run image`: the image of the programs as an OCI archive, without Docker. `-- --examples` makes the images that the
// examples' manifests name instead; `-- --tree FOLDER` lays the image's files into a folder (for deploy/image/Dockerfile);
// `-- --fresh` fetches the newest Debian packages; `-- --commit REVISION` builds what was committed then, with its own recipe.
// The last line names what was made: IMAGE name DIGEST sha256:… FILE path.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readCommandLine } from '@wishbone/testing/command-line'
import { buildCommit } from './commit.ts'
import { complete, modeOf } from './entry.ts'
import { exampleImages } from './examples.ts'
import { exampleLayer, layerBlob, wishboneLayers } from './layers.ts'
import { makeImage, writeArchive } from './oci.ts'
import { cacheFolder, checkout } from './place.ts'
import { settings } from './settings.ts'

const limitBytes = 250_000_000
const { values } = readCommandLine(import.meta.url, {
  options: {
    examples: { type: 'boolean' },
    tree: { type: 'string' },
    fresh: { type: 'boolean' },
    commit: { type: 'string' },
    output: { type: 'string' },
  },
})

const layers = wishboneLayers({ fresh: values.fresh ?? false })
if (values.commit !== undefined) process.exitCode = buildCommit(values.commit)
else if (values.tree !== undefined) layTree(values.tree)
else if (values.examples) makeExamples()
else makeWishbone()

function makeWishbone(): void {
  const blobs = layers.map(layerBlob)
  const bytes = blobs.reduce((total, { size }) => total + size, 0)
  for (const [i, { size }] of blobs.entries()) say(`${layers[i]!.name.padEnd(10)}${megabytes(size)}`)
  say(`${'unpacked'.padEnd(10)}${megabytes(bytes)}`)
  if (bytes > limitBytes)
    throw new Error(`the image is ${megabytes(bytes)}; at most ${megabytes(limitBytes)} are allowed`)
  const image = makeImage(blobs, settings)
  const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string }
  const name = `wishbone:${image.digest.slice('sha256:'.length).slice(0, 12)}`
  const file = values.output ?? join(cacheFolder(), 'wishbone.tar')
  // Under the release's name too, so that deploy/install.yaml runs what was loaded.
  const names = values.output === undefined ? [name, `wishbone:${version}`] : [name]
  writeArchive(
    file,
    names.map((name) => ({ name, image })),
  )
  process.stdout.write(`IMAGE ${name} DIGEST ${image.digest} FILE ${file}\n`)
}

function makeExamples(): void {
  const blobs = [...layers, exampleLayer()].map(layerBlob)
  const images = exampleImages().map(({ name, settings }) => ({ name, image: makeImage(blobs, settings) }))
  const file = join(cacheFolder(), 'examples.tar')
  writeArchive(file, images)
  for (const { name, image } of images) process.stdout.write(`IMAGE ${name} DIGEST ${image.digest} FILE ${file}\n`)
}

function layTree(folder: string): void {
  for (const entry of complete(layers.flatMap((layer) => layer.entries()))) {
    const path = join(folder, entry.path)
    if (entry.kind === 'folder') mkdirSync(path, { recursive: true })
    else if (entry.kind === 'copy') copyFileSync(entry.from, path)
    else if (entry.kind === 'text') writeFileSync(path, entry.text)
    else symlinkSync(entry.target, path)
    if (entry.kind !== 'link') chmodSync(path, modeOf(entry))
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1).padStart(6)} MB`
}

function say(text: string): void {
  process.stderr.write(`image: ${text}\n`)
}
