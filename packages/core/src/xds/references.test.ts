// A gateway's stream: whatever changes, and however slowly the gateway answers, it never holds a listener whose policies,
// certificates or routes it does not hold, nor a route whose Services it does not hold, nor of a policy only what layer 4 can make of
// it: such requests would fail for no reason of their own.
import { typeUrls } from '@wishbone/proto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClientSession } from './client.ts'
import { createSession, isSettled, step } from './session.ts'
import type { Session } from './state.ts'
import type { DeltaRequest, DeltaResponse, ResourceSet, SessionInput, VersionedResource } from './types.ts'

const { requestPolicy, authorization, address, certificate, tcpRoute, udpRoute, route, listener } = typeUrls
/** As the waypoint asks for them. */
const types: readonly string[] = [
  requestPolicy,
  authorization,
  address,
  certificate,
  route,
  tcpRoute,
  udpRoute,
  listener,
]

/** The content of a listener, route or policy is what it names: "<type>|<name>", separated by spaces. */
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
  fc.record({
    name: fc.constantFrom('r', 's'),
    services: few('a', 'b', 'x'),
    type: fc.constantFrom(route, tcpRoute, udpRoute),
  }),
  { selector: ({ name }) => name, maxLength: 2 },
)
/** As the controller's views: nothing that is not named by what is there. */
const world = fc.tuple(listeners, routes, few('p', 'q')).map(([all, some, ofRequests]): ResourceSet => {
  const set = new Map(types.map((type) => [type, new Map<string, VersionedResource>()]))
  for (const { name, services, type } of some) {
    // A UDPRoute holds its endpoints itself.
    const named = type === udpRoute ? [] : services
    for (const service of named) set.get(address)!.set(service, resource('1'))
    set.get(type)!.set(name, resource(named.map((service) => `${address}|${service}`).join(' ')))
  }
  for (const { name, policies, certificates, routes } of all) {
    for (const policy of policies) {
      // What layer 4 can make of a policy that speaks of requests allows less than it.
      const whole = ofRequests.includes(policy) ? `${requestPolicy}|${policy}` : '1'
      if (whole !== '1') set.get(requestPolicy)!.set(policy, resource('1'))
      set.get(authorization)!.set(policy, resource(whole))
    }
    for (const one of certificates) set.get(certificate)!.set(one, resource('1'))
    const named = [
      ...policies.map((policy) => `${authorization}|${policy}`),
      ...certificates.map((one) => `${certificate}|${one}`),
      ...some.filter((one) => routes.includes(one.name)).map((one) => `${one.type}|${one.name}`),
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
    return [listener, route, tcpRoute, authorization].flatMap((type) =>
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
