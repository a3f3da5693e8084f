import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readImages } from './images.ts'

test.each([
  { name: 'a good one', text: 'images:\n  a: { command: [x, y], env: { A: "1" } }\n', images: ['a'], mistakes: [] },
  { name: 'an empty file', text: '', images: [], mistakes: [] },
  { name: 'without images', text: 'a: { command: [x] }\n', images: [], mistakes: [[1, /'images' is missing/]] },
  { name: 'broken YAML', text: 'images:\n  a: [\n', images: [], mistakes: [[3, /YAML/]] },
  {
    name: 'one bad entry harms no other',
    text: 'images:\n  a: 5\n  b: { command: [x] }\n  c: { command: x }\n',
    images: ['b'],
    mistakes: [
      [2, /image a: 'command'/],
      [4, /image c: 'command'/],
    ],
  },
  {
    name: 'numbers are no environment',
    text: 'images:\n  a: { command: [x], env: { A: 1 } }\n',
    images: [],
    mistakes: [[2, /image a: 'env'/]],
  },
  {
    name: 'a misspelt field is named and the rest kept',
    text: 'images:\n  a: { command: [x], workdir: y }\n',
    images: ['a'],
    mistakes: [[2, /'workdir' has no meaning/]],
  },
])('images.yaml: $name', ({ text, images, mistakes }) => {
  const folder = mkdtempSync(join(tmpdir(), 'wishbone-images-'))
  try {
    writeFileSync(join(folder, 'images.yaml'), text)
    const read = readImages(folder)
    expect([...read.images.keys()]).toEqual(images)
    expect(read.mistakes.map(({ line, message }) => [line, message])).toEqual(
      mistakes.map(([line, message]) => [line, expect.stringMatching(message as RegExp)]),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})
