// A model client against the server's session: whatever happens in whatever order, the client ends up with exactly the
// current resources, and at no moment holds a workload that names a policy it does not hold.
import { typeUrls } from '@wishbone/proto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClientSession } from './client.ts'
import { createSession, isSettled, step } from './session.ts'
import type { Session } from './state.ts'
import type { DeltaRequest, DeltaResponse, ResourceSet, SessionInput, VersionedResource } from './types.ts'

const { address, authorization } = typeUrls
const word = new TextDecoder()

/** Workloads by name with the policies that each names; every policy named exists. `shared`: those cover what does not name them. */
function worldOf(workloads: readonly (readonly [string, readonly string[], number])[], shared: boolean): ResourceSet {
  const resource = (content: string): VersionedResource => ({
    bytes: new TextEncoder().encode(content),
    version: content,
    aliases: [],
  })
  const addresses = new Map(workloads.map(([name, policies, n]) => [name, resource(`${n}:${policies.join(',')}`)]))
  const policies = new Map(
    workloads.flatMap(([, names]) => names.map((name) => [name, { ...resource(shared ? 'shared' : 'named'), shared }])),
  )
  return new Map([
    [address, addresses],
    [authorization, policies],
  ])
}

const name = fc.constantFrom('a', 'b', 'c')
const workload = fc.tuple(name, fc.uniqueArray(fc.constantFrom('p', 'q', 'r'), { maxLength: 2 }), fc.nat(2))
const world = fc
  .tuple(fc.array(workload, { maxLength: 3 }), fc.boolean())
  .map(([workloads, shared]) => worldOf(workloads, shared))
const event = fc.oneof(
  fc.record({ kind: fc.constant('world' as const), world }),
  fc.constant({ kind: 'answer' as const }),
  fc.constant({ kind: 'reconnect' as const }),
)

class Model {
  session: Session = createSession()
  resources: ResourceSet = new Map()
  readonly client = new ClientSession([
    { typeUrl: address, mode: 'wildcard' },
    { typeUrl: authorization, mode: 'wildcard' },
  ])
  readonly held = new Map<string, Map<string, string>>([
    [address, new Map()],
    [authorization, new Map()],
  ])
  /** Responses on the wire, oldest first. */
  wire: DeltaResponse[] = []

  input(input: SessionInput): void {
    const [session, outputs] = step(this.session, input)
    this.session = session
    for (const output of outputs) if (output.kind === 'response') this.wire.push(output.response)
  }

  connect(): void {
    this.wire = []
    this.session = createSession({ resources: this.resources, expects: [authorization, address] })
    for (const request of this.client.connect()) this.request(request)
  }

  request(request: DeltaRequest): void {
    this.input({ kind: 'request', request })
  }

  answer(): void {
    const response = this.wire.shift()
    if (response === undefined) return
    const held = this.held.get(response.typeUrl)!
    for (const gone of response.removed) held.delete(gone)
    for (const { name, resource } of response.resources) held.set(name, word.decode(resource.bytes))
    this.check()
    const resources = response.resources.map(({ name, resource }) => [name, resource.version] as const)
    this.request(this.client.received({ ...response, resources, rejected: [] }))
  }

  check(): void {
    const policies = this.held.get(authorization)!
    for (const content of this.held.get(address)!.values())
      for (const policy of content.split(':')[1]!.split(',')) if (policy !== '') expect(policies.has(policy)).toBe(true)
  }
}

test('any order of changes, answers and new streams', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => {
      const model = new Model()
      model.connect()
      for (const next of events) {
        if (next.kind === 'world') {
          model.resources = next.world
          model.input({ kind: 'resources', resources: next.world })
        } else if (next.kind === 'answer') model.answer()
        else model.connect()
      }
      for (let i = 0; i < 100 && model.wire.length > 0; i++) model.answer()
      expect(model.client.ready).toBe(true)
      expect(isSettled(model.session)).toBe(true)
      for (const [typeUrl, held] of model.held) {
        const wanted = [...(model.resources.get(typeUrl) ?? [])].map(([key, { version }]) => [key, version])
        expect([...held].sort()).toEqual(wanted.sort())
      }
    }),
    { numRuns: 500 },
  )
})
