import type { KubeClient } from '@wishbone/runtime/kube'
import { KubeError } from '@wishbone/runtime/kube'
import { createLogger } from '@wishbone/runtime/log'
import { expect, test } from 'vitest'
import { PodApi } from './api.ts'

const pod = { uid: 'u', name: 'web', namespace: 'shop', serviceAccount: 'web' }

function api(uid: string | undefined): PodApi {
  const conflict = async () => {
    throw new KubeError(409, 'Conflict', 'the object has been modified')
  }
  const get = async () => {
    if (uid === undefined) throw new KubeError(404, 'NotFound', 'no such pod')
    return { metadata: { uid } }
  }
  const client = { request: conflict, get } as unknown as KubeClient
  return new PodApi(client, 'node-1', createLogger({ program: 'test', level: 'error' }))
}

test('a conflict over the pod itself is a failure, so that it is tried again', async () => {
  await expect(api('u').annotate(pod, 'enabled')).rejects.toThrow('modified')
})

test.each([undefined, 'another'])('a pod that is gone or replaced needs no annotation (%s)', async (uid) => {
  await expect(api(uid).annotate(pod, 'enabled')).resolves.toBeUndefined()
})

test('two failures that take turns are an event each, and once more after it went well', async () => {
  const events: string[] = []
  const request = async (method: string, _: string, { body }: { body: { message: string } }) => {
    if (method === 'POST') events.push(body.message)
    return { metadata: { uid: 'u', resourceVersion: '7' } }
  }
  const client = { request } as unknown as KubeClient
  const own = new PodApi(client, 'node-1', createLogger({ program: 'test', level: 'error' }))
  for (let round = 0; round < 3; round++)
    for (const message of ['no answer', 'refused']) await own.report(pod, new Error(message))
  expect(events).toEqual(['no answer', 'refused'])
  await own.annotate(pod, 'enabled')
  await own.report(pod, new Error('refused'))
  expect(events).toEqual(['no answer', 'refused', 'refused'])
})
