// WebSocket: one request and answer, then bytes both ways.
import { type IncomingMessage, type ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http'
import type { Duplex } from 'node:stream'
import { MeshError } from '@wishbone/core/errors'
import type { HeaderList } from '@wishbone/core/filters'
import type { Upstream } from '../compile/index.ts'
import { withoutIdleLength } from '../forward/response-rules.ts'
import type { Target } from '../forward/target.ts'
import { requestUpgrade, type UpgradeAnswer } from '../forward/upgrade.ts'
import { joinStreams } from '../l4/join.ts'
import { backendTimeout } from './attempt.ts'
import type { RequestContext } from './context.ts'
import type { RequestRecord } from './record.ts'
import type { Responder } from './responder.ts'
import type { PipelineServices } from './services.ts'

const maxTries = 3

/** The client's side of a request that asked for another protocol. */
export interface UpgradeRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly socket: Duplex
  /** Bytes that the client sent after its request already. */
  readonly head: Buffer
  /** The backend has switched: the socket is this request's no more. */
  readonly onSwitched: () => void
}

/** What an upgrade needs of its request's run. */
export interface UpgradeRun {
  readonly services: PipelineServices
  readonly context: RequestContext
  readonly record: RequestRecord
  readonly responder: Responder
  /** @throws MeshError */
  pick(backend: Upstream): Promise<Target>
  hasOther(backend: Upstream): boolean
  signal(): AbortSignal
  clearDeadline(): void
  onHead(status: number, headers: HeaderList): void
  onBytes(count: number): void
  finish(): void
}

/** `limitMs`: for each try, until the 101, or the end of another answer; undefined: none but the run's own. */
export async function runUpgrade(
  run: UpgradeRun,
  upgrade: UpgradeRequest,
  backend: Upstream,
  to: { readonly target: string; readonly authority: string; readonly headers: HeaderList },
  limitMs: number | undefined,
): Promise<void> {
  const request = { method: run.context.head.method, ...to, body: null, acceptsTrailers: false, expectsContinue: false }
  const { stream, target, clock } = await connect(run, backend, limitMs)
  target.load.started()
  try {
    const answer = await requestUpgrade(stream, request, clock.signal)
    if (answer.kind === 'response') await passOn(run, answer)
    else {
      clock.stop()
      await joinSwitched(run, upgrade, target, answer)
    }
  } catch (cause) {
    // Whatever threw: a request or a response that node does not send, a plugin's hook.
    stream.destroy()
    throw cause
  } finally {
    clock.stop()
    target.load.cancelled()
  }
}

async function joinSwitched(
  run: UpgradeRun,
  upgrade: UpgradeRequest,
  target: Target,
  answer: UpgradeAnswer & { kind: 'switched' },
): Promise<void> {
  const { record, context } = run
  run.clearDeadline()
  const headers = [...answer.headers]
  withoutIdleLength(101, headers)
  run.onHead(101, headers)
  const head = switchingHead(headers)
  upgrade.onSwitched()
  upgrade.response.detachSocket(upgrade.socket as import('node:net').Socket)
  upgrade.socket.write(head, 'latin1')
  if (upgrade.head.length > 0) answer.stream.write(upgrade.head)
  if (answer.head.length > 0) upgrade.socket.write(answer.head)
  const join = joinStreams(upgrade.socket, answer.stream)
  const unwatch = run.services.authorizer.watch(target, context.connection, context.listener, context.head, (error) =>
    join.close(error),
  )
  const { sent, received, error, failed } = await join.done
  unwatch()
  record.requestBytes += sent
  record.responseBytes += received
  if (error !== undefined)
    record.error =
      failed === 'a'
        ? new MeshError('client-closed', 'the client reset the connection', { at: 'downstream', cause: error })
        : MeshError.from(error, 'backend-reset', { at: 'upstream' })
  run.finish()
}

interface Clock {
  /** Aborted when a try has taken too long, or the run is cancelled. */
  readonly signal: AbortSignal
  stop(): void
}

function startClock(run: AbortSignal, limitMs: number | undefined): Clock {
  if (limitMs === undefined) return { signal: run, stop() {} }
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(backendTimeout(limitMs)), limitMs)
  return { signal: AbortSignal.any([run, controller.signal]), stop: () => clearTimeout(timer) }
}

/** A connection of its own; one that does not come about is tried at another endpoint. */
async function connect(
  run: UpgradeRun,
  backend: Upstream,
  limitMs: number | undefined,
): Promise<{ readonly stream: Duplex; readonly target: Target; readonly clock: Clock }> {
  const signal = run.signal()
  for (;;) {
    const target = await run.pick(backend)
    run.record.tries++
    const clock = startClock(signal, limitMs)
    try {
      const stream = await unlessAborted(run.services.dial(target, ['http/1.1']), clock.signal)
      return { stream, target, clock }
    } catch (cause) {
      clock.stop()
      if (clock.signal.aborted || run.record.tries >= maxTries || !run.hasOther(backend)) throw cause
    }
  }
}

/** The connection; when the time is over first, it is closed as soon as it is there. */
function unlessAborted(dialling: Promise<Duplex>, signal: AbortSignal): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  dialling.then((stream) => {
    signal.removeEventListener('abort', onAbort)
    if (signal.aborted) stream.destroy()
    resolve(stream)
  }, reject)
  return promise
}

/** The backend does not switch: its answer is an ordinary one. */
async function passOn(
  run: UpgradeRun,
  answer: { readonly status: number; readonly headers: HeaderList; readonly body: IncomingMessage },
): Promise<void> {
  const { responder } = run
  // It broke in one piece with its head, and what breaks before anybody listens is told to nobody.
  if (answer.body.destroyed) throw MeshError.from(answer.body.errored, 'backend-reset', { at: 'upstream' })
  withoutIdleLength(answer.status, answer.headers)
  run.onHead(answer.status, answer.headers)
  responder.head(answer.status, answer.headers, false)
  responder.onDrain(() => answer.body.resume())
  // Its connection was for this request alone.
  answer.body.once('close', () => answer.body.socket?.destroy())
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  answer.body.on('data', (chunk: Buffer) => {
    run.onBytes(chunk.length)
    if (!responder.data(chunk)) answer.body.pause()
  })
  answer.body.once('end', resolve)
  answer.body.once('error', (cause) => reject(MeshError.from(cause, 'backend-reset', { at: 'upstream' })))
  await promise
  responder.end(null)
}

/** @throws TypeError for a field that filters or plugins have made and that HTTP has not, as node does where it writes heads */
function switchingHead(headers: HeaderList): string {
  let head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const value = headers[i + 1]!
    validateHeaderName(name)
    validateHeaderValue(name, value)
    head += `${name}: ${value}\r\n`
  }
  return `${head}\r\n`
}
