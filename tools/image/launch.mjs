// The image's entry point: becomes the program that the first argument names. In the image it lies beside packages/.
import { existsSync } from 'node:fs'

const programs = ['controller', 'node', 'ztunnel', 'waypoint']
const [name = '', ...rest] = process.argv.slice(2)
const main = new URL(`packages/${name}/src/main.ts`, import.meta.url).pathname
if (!programs.includes(name) || !existsSync(main)) {
  process.stderr.write(`the first argument names the program to run: ${programs.join(', ')}; it is '${name}'\n`)
  process.exit(2)
}
process.execve(
  process.execPath,
  [process.execPath, '--disable-warning=ExperimentalWarning', main, ...rest],
  process.env,
)
