// The size of the terminal that `script` made for a command in a container.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { delay } from '@wishbone/runtime/lifecycle'

function childrenOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
}

/** The terminal that is standard input of a descendant of `pid`; undefined while there is none. */
function terminalBelow(pid: number): string | undefined {
  try {
    for (const child of childrenOf(pid)) {
      const input = readlinkSync(`/proc/${child}/fd/0`)
      const found = input.startsWith('/dev/pts/') ? input : terminalBelow(child)
      if (found) return found
    }
  } catch {
    // It has ended.
  }
  return undefined
}

/** Sets the size, as soon as `script` (process `pid`) has made its terminal; gives up after a second. */
export async function resizeTerminal(pid: number, columns: number, rows: number): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const terminal = terminalBelow(pid)
    if (terminal) {
      const words = ['-F', terminal, 'rows', String(rows), 'columns', String(columns)]
      spawn('stty', words, { stdio: 'ignore' }).on('error', () => {})
      return
    }
    await delay(20)
  }
}
