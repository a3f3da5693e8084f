import { issueIntermediate, selfSignedRoot } from '@wishbone/runtime/certificates'
import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeApiServer } from '../../test/fake-api-server.ts'
import { eventually, type Recorder, recorder } from '../../test/wait.ts'
import { type Authority, loadAuthority, readAuthority } from './authority.ts'
import { followAuthority } from './follow.ts'

const secrets = '/api/v1/secrets'
const namespace = 'wishbone-system'
const organization = 'cluster.local'
const one = selfSignedRoot({ organization, ttlSeconds: 86_400 })
const two = selfSignedRoot({ organization, ttlSeconds: 86_400 })
const below = issueIntermediate({ organization, ttlSeconds: 86_400, signer: two })

let api: FakeApiServer
let client: KubeClient
let log: Recorder
let abort: AbortController
let current: Authority
let following: Promise<void>

function put(name: string, signer: { certPem: string; key: typeof one.key }, roots: string, chain = ''): void {
  const text = {
    'ca-cert.pem': signer.certPem,
    'ca-key.pem': signer.key.export({ type: 'pkcs8', format: 'pem' }) as string,
    'root-cert.pem': roots,
    'cert-chain.pem': chain,
  }
  const data = Object.fromEntries(Object.entries(text).map(([key, pem]) => [key, Buffer.from(pem).toString('base64')]))
  api.put(secrets, { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data })
}

beforeEach(async () => {
  api = new FakeApiServer().install(secrets)
  client = new KubeClient(fixedConnection(await api.listen()))
  log = recorder()
  abort = new AbortController()
})

afterEach(async () => {
  abort.abort()
  await following
  client.close()
  await api[Symbol.asyncDispose]()
})

async function follow(): Promise<void> {
  const { signal } = abort
  current = (await readAuthority({ client, namespace, signal }))!
  const onChange = (next: Authority) => {
    current = next
  }
  following = followAuthority({ client, namespace, log, signal, current: () => current, onChange })
  await eventually('the watches', () => api.watcherCount === 2)
}

describe('a changed authority', () => {
  test('is taken in the steps of a rotation: new root beside the old, new signer, old root gone', async () => {
    put('cacerts', one, one.certPem)
    await follow()
    put('cacerts', one, one.certPem + two.certPem)
    await eventually('both roots', () => current.rootsPem.includes(two.certPem.trim()))
    put('cacerts', below, one.certPem + two.certPem, below.certPem)
    await eventually('the new signer', () => current.certPem === below.certPem)
    put('cacerts', below, two.certPem, below.certPem)
    await eventually('the new root alone', () => current.rootsPem === two.certPem)
    expect(log.lines.filter((line) => line.startsWith('error'))).toEqual([])
  })

  test('that would part the mesh is not taken, and the log says what to do first', async () => {
    put('wishbone-ca', one, one.certPem)
    await follow()
    put('cacerts', two, two.certPem)
    await eventually('the reason', () => log.lines.some((line) => line.includes('append that root')))
    put('cacerts', two, one.certPem + two.certPem)
    await eventually('the next reason', () => log.lines.some((line) => line.includes('do not know the root')))
    expect(current.certPem).toBe(one.certPem)
  })

  test('that cannot be read when its change is told is read again', async () => {
    put('cacerts', one, one.certPem)
    await follow()
    let refused = 0
    const get = client.get.bind(client)
    client.get = async (path, signal) => {
      if (refused++ < 2) throw new Error('the API is busy')
      return get(path, signal)
    }
    put('cacerts', one, one.certPem + two.certPem)
    await eventually('both roots', () => current.rootsPem.includes(two.certPem.trim()))
    expect(log.lines.filter((line) => line.includes('the API is busy'))).toHaveLength(1)
  })

  test('that is broken or gone leaves the last one in use', async () => {
    put('cacerts', one, one.certPem)
    await follow()
    put('cacerts', { ...one, certPem: 'x' }, one.certPem)
    await eventually('the reason', () => log.lines.some((line) => line.includes('ca-cert.pem is missing')))
    api.remove(secrets, namespace, 'cacerts')
    await eventually('the reason', () => log.lines.some((line) => line.includes('is gone')))
    expect(current.certPem).toBe(one.certPem)
  })
})

test('replicas that start at the same time agree on one authority', async () => {
  const options = { client, namespace, trustDomain: organization, log, signal: abort.signal }
  const made = await Promise.all([1, 2, 3].map(() => loadAuthority(options)))
  expect(new Set(made.map(({ certPem }) => certPem)).size).toBe(1)
  expect(log.lines.filter((line) => line.includes('made a certificate authority'))).toHaveLength(1)
})
