// What a person is told about Gateways: where they can be reached, and whether they are done with. Pure.

import { type KubeObject, keyOf } from '../api/objects/object.ts'
import { schemeOfProtocol } from '../schemes.ts'
import type { Condition } from '../types.ts'

interface Listener {
  readonly name: string
  readonly port: number
  readonly protocol: string
  readonly hostname?: string
}

interface ListenerStatus {
  readonly name: string
  readonly conditions?: readonly Condition[]
}

export interface Gateway extends KubeObject {
  readonly spec: { readonly gatewayClassName: string; readonly listeners: readonly Listener[] }
  readonly status?: {
    readonly addresses?: readonly { readonly value: string }[]
    readonly conditions?: readonly (Condition & { readonly observedGeneration?: number })[]
    readonly listeners?: readonly ListenerStatus[]
  }
}

/** More listeners for a Gateway (GEP-1713). */
export interface ListenerSet extends KubeObject {
  readonly spec: {
    readonly parentRef: { readonly namespace?: string; readonly name: string }
    readonly listeners: readonly Listener[]
  }
  readonly status?: { readonly listeners?: readonly ListenerStatus[] }
}

/** The port that is opened for a listener's: who is not root may not open those below 1024. */
export function openPort(port: number, offset: number): number {
  return port < 1024 ? port + offset : port
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

/** `http://127.0.0.1:8080` for each listener that serves, of the Gateway and of its sets, with the host names that it is for. */
export function linksOf(gateway: Gateway, portOffset: number, sets: Iterable<ListenerSet> = []): readonly string[] {
  const address = gateway.status?.addresses?.[0]?.value
  if (address === undefined) return []
  const link = (of: string, { name, port, protocol, hostname }: Listener): string => {
    // Browsers and curl know where *.localhost is.
    const isName = hostname?.endsWith('localhost') && !hostname.startsWith('*') && isLoopback(address)
    const host = isName ? hostname : address.includes(':') ? `[${address}]` : address
    const url = `${schemeOfProtocol(protocol)}://${host}:${openPort(port, portOffset)}`
    const names = hostname === undefined || isName ? '' : `, for ${hostname}`
    return `${keyOf(gateway)} ${name}${of}: ${url}${names}`
  }
  const attached = [...sets].filter(
    ({ metadata, spec: { parentRef } }) =>
      parentRef.name === gateway.metadata.name &&
      (parentRef.namespace ?? metadata.namespace) === gateway.metadata.namespace,
  )
  return [
    ...servingOf(gateway).map((listener) => link('', listener)),
    ...attached.flatMap((set) => servingOf(set).map((listener) => link(` of ${keyOf(set)}`, listener))),
  ]
}

function servingOf({ spec, status }: Gateway | ListenerSet): readonly Listener[] {
  const serving = new Set(
    (status?.listeners ?? [])
      .filter(({ conditions }) => conditions?.some((one) => one.type === 'Programmed' && one.status === 'True'))
      .map(({ name }) => name),
  )
  return spec.listeners.filter(({ name }) => serving.has(name))
}

export type Outcome =
  | { readonly kind: 'serving' }
  /** Its status says why it can't serve. */
  | { readonly kind: 'failed' }
  | { readonly kind: 'pending'; readonly reason: string }
  /** No controller looks at it. */
  | { readonly kind: 'ignored' }

const passing = new Set(['Pending', 'AddressNotAssigned'])

export function outcomeOf(gateway: Gateway): Outcome {
  const { status, metadata } = gateway
  const programmed = status?.conditions?.find(({ type }) => type === 'Programmed')
  // What the CustomResourceDefinition says of every new one.
  if (programmed === undefined || programmed.status === 'Unknown') return { kind: 'ignored' }
  const isNew = programmed.observedGeneration !== metadata.generation
  if (isNew) return { kind: 'pending', reason: 'its change is not looked at yet' }
  if (programmed.status === 'True') return { kind: 'serving' }
  if (passing.has(programmed.reason ?? '')) return { kind: 'pending', reason: programmed.message ?? '' }
  return { kind: 'failed' }
}
