// The image's entry point: becomes the program that the first argument names. In the image it lies beside packages/.
const programs = {
  controller: 'packages/controller/src/main.ts',
  node: 'packages/node/src/main.ts',
  ztunnel: 'packages/ztunnel/src/main.ts',
  waypoint: 'packages/waypoint/src/main.ts',
  uninstall: 'packages/controller/src/uninstall.ts',
}
const [name = '', ...rest] = process.argv.slice(2)
const file = programs[name]
if (file === undefined) {
  const names = Object.keys(programs).join(', ')
  process.stderr.write(`the first argument names the program to run: ${names}; it is '${name}'\n`)
  process.exit(2)
}
const at = (path) => new URL(path, import.meta.url).pathname
process.execve(
  process.execPath,
  [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--import',
    at('packages/runtime/src/lifecycle/preload.ts'),
    at(file),
    ...rest,
  ],
  process.env,
)
