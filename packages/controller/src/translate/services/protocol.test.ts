import { workload } from '@wishbone/proto'
import { expect, test } from 'vitest'
import { appProtocolOf } from './protocol.ts'

const { UNKNOWN, HTTP11, HTTP2, GRPC } = workload.AppProtocol

test.each([
  [{ name: 'http' }, HTTP11],
  [{ name: 'grpc-web-x' }, HTTP11],
  [{ name: 'grpc-x' }, GRPC],
  [{ name: 'http', appProtocol: 'h2c' }, HTTP2],
  [{ name: 'constructor' }, UNKNOWN],
  [{ name: 'constructor-x' }, UNKNOWN],
  [{ name: 'x', appProtocol: 'constructor' }, UNKNOWN],
])('%j', (port, expected) => {
  expect(appProtocolOf({ port: 80, ...port })).toBe(expected)
})
