// What the API server asks of the nodes on behalf of users: logs, commands in containers, connections to pods.
import type { Duplex, Readable, Writable } from 'node:stream'

export interface LogRequest {
  readonly container?: string
  readonly follow?: boolean
  readonly previous?: boolean
  readonly tailLines?: number
  readonly sinceSeconds?: number
  readonly limitBytes?: number
  readonly timestamps?: boolean
  /** Ends a followed log. */
  readonly signal?: AbortSignal
}

export interface ExecRequest {
  readonly container?: string
  readonly command: readonly string[]
  readonly tty?: boolean
}

export interface Execution {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** The exit status; 128 + signal where a signal ended it. */
  readonly exit: Promise<number>
  /** The size of the user's terminal; only of an execution with `tty`. */
  resize?(columns: number, rows: number): void
  kill(): void
}

/** Every method rejects with an Error that has `status` (an HTTP status: 400 or 404) and a message for the user. */
export interface PodAccess {
  logs(namespace: string, pod: string, request: LogRequest): Promise<Readable>
  exec(namespace: string, pod: string, request: ExecRequest): Promise<Execution>
  connect(namespace: string, pod: string, port: number): Promise<Duplex>
}

export class PodAccessError extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
