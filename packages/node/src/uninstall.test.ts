import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { fixedConnection, KubeClient } from '@wishbone/runtime/kube'
import { createLogger } from '@wishbone/runtime/log'
import { expect, test } from 'vitest'
import { UninstallSigns } from './uninstall.ts'

type Answers = Readonly<Record<string, { readonly status: number; readonly body?: unknown }>>

/** What the agent says at its end to an API that answers so. */
async function sign(answers: Answers): Promise<string | undefined> {
  const server = http.createServer((request, response) => {
    const kind = /\/(configmaps|daemonsets)\//.exec(request.url ?? '')?.[1] ?? ''
    const { status, body = { metadata: { name: 'x' } } } = answers[kind] ?? { status: 404 }
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = new KubeClient(fixedConnection(`http://127.0.0.1:${port}`))
  const log = createLogger({ program: 't', sink: { write: () => undefined, flush: () => undefined, dropped: 0 } })
  try {
    return await new UninstallSigns({ client, namespace: 'wishbone-system', log, onMarker: () => undefined }).sign()
  } finally {
    client.close()
    server.close()
  }
}

const there = { status: 200 }
const going = (finalizers: readonly string[] = []) => ({
  status: 200,
  body: { metadata: { name: 'wishbone-node', deletionTimestamp: 'now', finalizers } },
})

test.each<[string, Answers, RegExp | undefined]>([
  ['a restart', { daemonsets: there }, undefined],
  ['the DaemonSet is gone', {}, /DaemonSet wishbone-system\/wishbone-node is deleted/],
  ['it is going', { daemonsets: going(['foregroundDeletion']) }, /DaemonSet/],
  ['its pods are to stay', { daemonsets: going(['orphan']) }, undefined],
  ['the marker is there', { daemonsets: there, configmaps: there }, /ConfigMap wishbone-system\/wishbone-uninstall/],
  ['the API does not know us', { daemonsets: { status: 401 } }, undefined],
  ['nor let us look', { daemonsets: { status: 403 } }, undefined],
  ['the API is ill', { daemonsets: { status: 500 } }, undefined],
])('%s', async (_, answers, said) => {
  const text = await sign(answers)
  if (said === undefined) expect(text).toBeUndefined()
  else expect(text).toMatch(said)
})
