// Copies of a request for mirror backends. Their answers are read and thrown away; their failures are counted, not seen.

import { MeshError } from '@wishbone/core/errors'
import { createSampler, type HeaderList } from '@wishbone/core/filters'
import type { Filters, Mirror } from '../compile/index.ts'
import type { ExchangeHandler } from '../forward/exchange.ts'
import type { BodySource } from './body-source.ts'
import type { RequestContext } from './context.ts'
import type { PipelineServices } from './services.ts'

const samplers = new WeakMap<Mirror, () => boolean>()

/** How long a mirror may take. */
const mirrorTimeoutMs = 15_000

/** What a copy needs of the request that it is of. */
export interface MirroredRun {
  readonly services: PipelineServices
  readonly context: RequestContext
  readonly body: BodySource
  readonly isGrpc: boolean
}

export function sendMirrors(
  run: MirroredRun,
  filters: Filters,
  to: { readonly target: string; readonly authority: string; readonly headers: HeaderList },
): void {
  for (const mirror of filters.mirrors) {
    let sampler = samplers.get(mirror)
    if (sampler === undefined) samplers.set(mirror, (sampler = createSampler(mirror.numerator, mirror.denominator)))
    if (!sampler()) continue
    void send(run, mirror, to).catch((cause: unknown) =>
      run.services.log.debug('a mirrored request failed', { error: MeshError.from(cause).describe() }),
    )
  }
}

async function send(
  run: MirroredRun,
  { backend }: Mirror,
  to: { readonly target: string; readonly authority: string; readonly headers: HeaderList },
): Promise<void> {
  if (backend.kind === 'invalid') return
  const { services, context } = run
  const copy = run.body.isStream ? run.body.mirror() : undefined
  await run.body.prepare()
  const body = copy ?? run.body.mirror()
  try {
    const target = services.endpoints.pick(backend, context.connection.port)
    if (context.connection.destination.kind === 'waypoint')
      await services.authorizer.forTarget(target, context.connection, context.head)
    const { promise, resolve } = Promise.withResolvers<void>()
    const handler: ExchangeHandler = {
      onInformational() {},
      onHead() {},
      onData: () => true,
      onEnd: () => resolve(),
      onError({ error }) {
        services.log.debug('a mirrored request failed', { error: error.describe(), target: target.label })
        resolve()
      },
    }
    const version = run.isGrpc || target.protocol === 'http2' ? 2 : 1
    const request = { method: context.head.method, ...to, body, acceptsTrailers: run.isGrpc, expectsContinue: false }
    const exchange = services.forwarder.send(target, version, request, handler)
    const timer = setTimeout(() => {
      exchange.abort()
      resolve()
    }, mirrorTimeoutMs)
    await promise
    clearTimeout(timer)
  } finally {
    if (body !== null && !Buffer.isBuffer(body)) body.destroy()
  }
}
