// The scenes' YAML, as files that a user can apply, too.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export function manifest(name: string): string {
  return readFileSync(fileURLToPath(new URL(`../manifests/${name}.yaml`, import.meta.url)), 'utf8')
}
