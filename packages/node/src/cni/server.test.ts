import { mkdtempSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger } from '@wishbone/runtime/log'
import { expect, test } from 'vitest'
import type { Sandbox } from '../agent.ts'
import { listenCni, parseSandbox } from './server.ts'

const body = JSON.stringify({
  Netns: '/run/netns/a',
  PodName: 'web',
  PodNamespace: 'shop',
  IPs: [{ Address: '10.0.0.1/24' }, 'fd00::1', 7],
})

test('reads addresses in every form that plugins send', () => {
  expect(parseSandbox(body)).toEqual({
    netns: '/run/netns/a',
    podName: 'web',
    podNamespace: 'shop',
    ips: ['10.0.0.1', 'fd00::1'],
  })
  expect(parseSandbox('{"Netns":"a","PodName":"b","PodNamespace":"c"}').ips).toEqual([])
  expect(parseSandbox('{"Netns":"a","PodName":"b","PodNamespace":"c","PodUID":"u"}').podUid).toBe('u')
})

test.each(['', 'null', '[]', '{"Netns":"a"}', '{"Netns":1,"PodName":"b","PodNamespace":"c"}'])('refuses %j', (text) => {
  expect(() => parseSandbox(text)).toThrow()
})

test('answers when the pod is in, and says why when it is not', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'wishbone-cni-')), 'cni.sock')
  const seen: Sandbox[] = []
  await using _server = await listenCni(
    path,
    async (sandbox) => {
      seen.push(sandbox)
      if (seen.length > 1) throw new Error('no ztunnel is connected')
    },
    createLogger({
      program: 'test',
      level: 'error',
      sink: { write: () => undefined, flush: () => undefined, dropped: 0 },
    }),
  )
  const post = (url: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const request = http.request({ socketPath: path, method: 'POST', path: url }, async (response) => {
        let text = `${response.statusCode} `
        for await (const chunk of response) text += String(chunk)
        resolve(text.trim())
      })
      request.on('error', reject)
      request.end(body)
    })
  expect(await post('/cmdadd')).toBe('200')
  expect(await post('/cmdadd')).toBe('500 wishbone-node: no ztunnel is connected')
  expect(await post('/other')).toMatch(/^404/)
  expect(seen).toHaveLength(2)
})
