// Keeps the young generation of the heap small. Each chunk of a body is a fresh buffer of 64 KiB that lies outside of
// the heap until the next collection; the larger the young generation, the more of them wait: 80 MiB at V8's default,
// 30 MiB so. Few objects of a request outlive it, so that the more frequent collections find little to do.
import { setFlagsFromString } from 'node:v8'

export function limitYoungGeneration(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
}
