// A gateway's stream: whatever changes, and however slowly the gateway answers, it never holds a listener whose policies or
// certificates it does not hold, nor a route whose Services it does not hold: such requests would fail for no reason of their own.
import { typeUrls } from '@wishbone/proto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClientSession } from './client.ts'
import { createSession, isSettled, step } from './session.ts'
import type { Session } from './state.ts'
import type { DeltaRequest, DeltaResponse, ResourceSet, SessionInput, VersionedResource } from './types.ts'

const { authorization, address, certificate, tcpRoute, route, listener } = typeUrls
const types: readonly string[] = [authorization, address, certificate, tcpRoute, route, listener]

/** The content of a listener or route is what it names: "<type>|<name>", separated by spaces. */
const referencesOf = (content: string) => content.split(' ').filter((part) => part.includes('|'))
const resource = (version: string): VersionedResource => ({
  bytes: new TextEncoder().encode(version),
  version,
  aliases: [],
})

const few = (...names: string[]) => fc.subarray(names)
const listeners = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('l', 'm'),
    policies: few('p', 'q'),
    certificates: few('c', 'd'),
    routes: few('r', 's'),
  }),
  { selector: ({ name }) => name, maxLength: 2 },
)
const routes = fc.uniqueArray(
  fc.record({ name: fc.constantFrom('r', 's'), services: few('a', 'b', 'x'), tcp: fc.boolean() }),
  { selector: ({ name }) => name, maxLength: 2 },
)
/** As the controller's views: nothing that is not named by what is there. */
const world = fc.tuple(listeners, routes).map(([all, some]): ResourceSet => {
  const set = new Map(types.map((type) => [type, new Map<string, VersionedResource>()]))
  for (const { name, services, tcp } of some) {
    for (const service of services) set.get(address)!.set(service, resource('1'))
    set.get(tcp ? tcpRoute : route)!.set(name, resource(services.map((service) => `${address}|${service}`).join(' ')))
  }
  for (const { name, policies, certificates } of all) {
    for (const policy of policies) set.get(authorization)!.set(policy, resource('1'))
    for (const one of certificates) set.get(certificate)!.set(one, resource('1'))
    const named = [
      ...policies.map((policy) => `${authorization}|${policy}`),
      ...certificates.map((one) => `${certificate}|${one}`),
    ]
    set.get(listener)!.set(name, resource(named.join(' ')))
  }
  return set
})
const event = fc.oneof(
  fc.record({ kind: fc.constant('world' as const), world }),
  // The client takes a response, or its answer reaches the controller.
  fc.constant({ kind: 'read' as const }),
  fc.constant({ kind: 'answer' as const }),
)

class Model {
  session: Session = createSession()
  readonly client = new ClientSession(types.map((typeUrl) => ({ typeUrl, mode: 'wildcard' as const })))
  readonly held = new Map(types.map((type) => [type, new Map<string, string>()]))
  readonly wire: DeltaResponse[] = []
  readonly answers: DeltaRequest[] = []

  constructor(resources: ResourceSet) {
    this.session = createSession({ resources })
    for (const request of this.client.connect()) this.input({ kind: 'request', request })
  }

  input(input: SessionInput): void {
    const [session, outputs] = step(this.session, input)
    this.session = session
    for (const output of outputs) if (output.kind === 'response') this.wire.push(output.response)
  }

  read(): void {
    const response = this.wire.shift()
    if (response === undefined) return
    const held = this.held.get(response.typeUrl)!
    for (const gone of response.removed) held.delete(gone)
    for (const { name, resource } of response.resources) held.set(name, resource.version)
    const resources = response.resources.map(({ name, resource }) => [name, resource.version] as const)
    this.answers.push(this.client.received({ ...response, resources, rejected: [] }))
  }

  answer(): void {
    const request = this.answers.shift()
    if (request !== undefined) this.input({ kind: 'request', request })
  }

  /** What is named and not there. */
  get missing(): readonly string[] {
    return [listener, route, tcpRoute].flatMap((type) =>
      [...this.held.get(type)!].flatMap(([name, content]) =>
        referencesOf(content).flatMap((reference) => {
          const [to, named] = reference.split('|') as [string, string]
          return this.held.get(to)!.has(named) ? [] : [`${name} without ${reference}`]
        }),
      ),
    )
  }
}

test('nothing that is named leaves before what names it', () => {
  fc.assert(
    fc.property(world, fc.array(event, { maxLength: 40 }), (first, events) => {
      const model = new Model(first)
      let last = first
      for (const next of events) {
        if (next.kind === 'world') model.input({ kind: 'resources', resources: (last = next.world) })
        else if (next.kind === 'answer') model.answer()
        else model.read()
        expect(model.missing).toEqual([])
      }
      for (let i = 0; i < 200 && model.wire.length + model.answers.length > 0; i++) {
        model.read()
        model.answer()
        expect(model.missing).toEqual([])
      }
      expect(isSettled(model.session)).toBe(true)
      for (const [type, held] of model.held)
        expect([...held].sort()).toEqual([...last.get(type)!].map(([name, { version }]) => [name, version]).sort())
    }),
    { numRuns: 1_000 },
  )
})
