// The state folder: sockets, logs and the kubeconfig of one running machine or gateway. Keys and objects live in memory only.
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

interface StateRecord {
  readonly owner: { readonly pid: number; readonly started: string }
  readonly sandbox?: { readonly pid: number; readonly started: string }
}

/** Removes what an earlier run left behind; throws when one is still running. */
export function claimState(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true })
    accessSync(stateDir, constants.W_OK)
  } catch (cause) {
    throw new Error(`${stateDir} cannot be the state folder: ${(cause as Error).message}; give another --state`)
  }
  const path = join(stateDir, 'machine.json')
  if (existsSync(path)) {
    let record: StateRecord | undefined
    try {
      record = JSON.parse(readFileSync(path, 'utf8')) as StateRecord
    } catch {
      // Half written by a killed run.
    }
    if (record && startTimeOf(record.owner.pid) === record.owner.started) {
      throw new Error(
        `${stateDir} is in use already (process ${record.owner.pid}, see wishbone status); stop it, or give another --state`,
      )
    }
    if (record?.sandbox && startTimeOf(record.sandbox.pid) === record.sandbox.started)
      process.kill(record.sandbox.pid, 'SIGKILL')
  }
  for (const name of ['run', 'nodes', 'pods', 'logs', 'kubeconfig', 'machine.log'])
    rmSync(join(stateDir, name), { recursive: true, force: true })
  mkdirSync(join(stateDir, 'run'), { recursive: true })
}

/** Says that this process, and with it the sandbox if there is one, works in the folder. */
export function recordOwner(stateDir: string, sandboxPid?: number): void {
  const own = { pid: process.pid, started: startTimeOf(process.pid) ?? '' }
  const sandbox =
    sandboxPid === undefined ? {} : { sandbox: { pid: sandboxPid, started: startTimeOf(sandboxPid) ?? '' } }
  writeFileSync(join(stateDir, 'machine.json'), JSON.stringify({ owner: own, ...sandbox }))
}

/** `what`: files and folders that mean nothing any more. */
export function releaseState(stateDir: string, what: readonly string[] = []): void {
  for (const name of what) rmSync(join(stateDir, name), { recursive: true, force: true })
  rmSync(join(stateDir, 'machine.json'), { force: true })
}
