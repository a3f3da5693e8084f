import { expect, test } from 'vitest'
import type { RequestRecord } from '../pipeline/record.ts'
import { createAccessLog } from './access-log.ts'

test('what clients send is on one line, without characters that a terminal would obey', () => {
  const lines: string[] = []
  const log = createAccessLog({ write: (line) => void lines.push(line) })
  const agent = '\x9b2J "\n\x7f'
  const head = {
    method: 'GET',
    authority: 'shop',
    target: '/',
    header: (name: string) => (name === 'user-agent' ? agent : undefined),
  }
  const context = { connection: { baggage: {}, clientIp: '10.0.0.1', clientPort: 1 }, head }
  const counts = { requestBytes: 0, responseBytes: 0, upstreamMs: -1, tries: 1, durationMs: 1 }
  log({ context, ...counts, startedAtMs: 0, status: 200 } as unknown as RequestRecord)
  expect(JSON.parse(lines[0]!)).toMatchObject({ user_agent: agent })
  expect(lines[0]).toMatch(/^[^\x00-\x1f\x7f-\x9f]+\n$/)
})
