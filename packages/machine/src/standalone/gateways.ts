// What a person is told about Gateways: where they can be reached, and whether they are done with. Pure.

import { type KubeObject, keyOf } from '../api/objects/object.ts'
import { schemeOfProtocol } from '../schemes.ts'
import type { Condition } from '../types.ts'

export interface Gateway extends KubeObject {
  readonly spec: {
    readonly gatewayClassName: string
    readonly listeners: readonly {
      readonly name: string
      readonly port: number
      readonly protocol: string
      readonly hostname?: string
    }[]
  }
  readonly status?: {
    readonly addresses?: readonly { readonly value: string }[]
    readonly conditions?: readonly (Condition & { readonly observedGeneration?: number })[]
    readonly listeners?: readonly { readonly name: string; readonly conditions?: readonly Condition[] }[]
  }
}

/** The port that is opened for a listener's: who is not root may not open those below 1024. */
export function openPort(port: number, offset: number): number {
  return port < 1024 ? port + offset : port
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

/** `http://127.0.0.1:8080` for each listener that serves, with the host names that it is for. */
export function linksOf(gateway: Gateway, portOffset: number): readonly string[] {
  const address = gateway.status?.addresses?.[0]?.value
  if (address === undefined) return []
  const serving = new Set(
    (gateway.status?.listeners ?? [])
      .filter(({ conditions }) => conditions?.some(({ type, status }) => type === 'Programmed' && status === 'True'))
      .map(({ name }) => name),
  )
  return gateway.spec.listeners
    .filter(({ name }) => serving.has(name))
    .map(({ name, port, protocol, hostname }) => {
      // Browsers and curl know where *.localhost is.
      const isName = hostname?.endsWith('localhost') && !hostname.startsWith('*') && isLoopback(address)
      const host = isName ? hostname : address.includes(':') ? `[${address}]` : address
      const url = `${schemeOfProtocol(protocol)}://${host}:${openPort(port, portOffset)}`
      const names = hostname === undefined || isName ? '' : `, for ${hostname}`
      return `${keyOf(gateway)} ${name}: ${url}${names}`
    })
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
