// The command lines of the repository's own tools. Their help is the comment at the head of their file, so that it has one home.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type ParseArgsConfig, parseArgs } from 'node:util'

/**
 * `parseArgs` for the program at `url`, its `import.meta.url`. Ends the process with the help for --help (status 0), and with the
 * error and the help for options that nobody knows (status 2).
 */
export function readCommandLine<const T extends ParseArgsConfig>(
  url: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  const help = () => leadingComment(readFileSync(fileURLToPath(url), 'utf8'))
  if (process.argv.slice(2).includes('--help')) {
    process.stdout.write(help())
    process.exit(0)
  }
  try {
    return parseArgs(config)
  } catch (cause) {
    process.stderr.write(`${(cause as Error).message}\n\n${help()}`)
    process.exit(2)
  }
}

/** The `//` lines that a file begins with, without their marks. */
export function leadingComment(source: string): string {
  const lines = source.split('\n')
  const end = lines.findIndex((line) => !line.startsWith('//'))
  return lines
    .slice(0, end)
    .map((line) => `${line.replace(/^\/\/ ?/, '')}\n`)
    .join('')
}
