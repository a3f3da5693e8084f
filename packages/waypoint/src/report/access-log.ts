// One JSON line for each request, put together by hand: the names are fixed, and what clients send is escaped.
import { formatIp } from '@wishbone/core/ip'
import { withoutControls } from '@wishbone/runtime/log'
import type { RequestRecord } from '../pipeline/record.ts'
import { destinationOf } from './destination.ts'
import { flagsOf } from './metrics.ts'
import { sourceOf } from './source.ts'

/** Where lines go; `@wishbone/runtime/log`'s sink never blocks. */
export interface WritesLines {
  write(text: string): void
}

const longestText = 2_048

/** Makes the reporter of lines. */
export function createAccessLog(sink: WritesLines): (record: RequestRecord) => void {
  let stampMs = 0
  let stamp = ''
  return (record) => {
    if (record.startedAtMs !== stampMs) {
      stampMs = record.startedAtMs
      stamp = new Date(stampMs).toISOString()
    }
    sink.write(lineOf(record, stamp))
  }
}

function lineOf(record: RequestRecord, time: string): string {
  const { context, target, rule, error } = record
  const { connection, head } = context
  const source = sourceOf(connection)
  const destination = destinationOf(record)
  let line = `{"level":"${record.status >= 500 || error?.code === 'internal' ? 'warn' : 'info'}","time":"${time}","scope":"access","message":"request"`
  line += `,"src.addr":"${connection.clientIp}:${connection.clientPort}"`
  if (head.remoteIp !== undefined) line += `,"client.addr":"${formatIp(head.remoteIp)}"`
  if (source.workload !== 'unknown') line += `,"src.workload":${text(source.workload)}`
  if (source.namespace !== 'unknown') line += `,"src.namespace":${text(source.namespace)}`
  if (connection.peer !== undefined) line += `,"src.identity":"${source.principal}"`
  line += `,"method":${text(head.method)},"host":${text(head.authority)},"path":${text(head.target)}`
  line += `,"protocol":"${head.isHttp2 ? 'HTTP/2' : 'HTTP/1.1'}"`
  line += `,"status":${record.status},"flags":"${flagsOf(record)}"`
  if (record.grpcStatus !== undefined) line += `,"grpc_status":${text(record.grpcStatus)}`
  line += `,"request_bytes":${record.requestBytes},"response_bytes":${record.responseBytes}`
  line += `,"duration_ms":${record.durationMs.toFixed(1)}`
  if (record.upstreamMs >= 0) line += `,"upstream_ms":${record.upstreamMs.toFixed(1)}`
  if (context.listener !== undefined) line += `,"listener":${text(context.listener.name)}`
  if (rule !== undefined) line += `,"route":${text(rule.name)}`
  if (destination.service !== 'unknown') line += `,"dst.service":${text(destination.service)}`
  if (target !== undefined) {
    line += `,"dst.addr":"${target.label}","dst.workload":${text(target.workload.name)}`
    if (target.tunnel !== null) line += `,"dst.identity":"${destination.principal}"`
  }
  if (record.tries > 1) line += `,"tries":${record.tries}`
  if (record.detail !== undefined) line += `,"detail":${text(record.detail)}`
  if (error !== undefined) line += `,"reason":"${error.code}","error":${text(error.describe())}`
  const agent = head.header('user-agent')
  if (agent !== undefined) line += `,"user_agent":${text(agent)}`
  const id = head.header('x-request-id')
  if (id !== undefined) line += `,"request_id":${text(id)}`
  if (record.traceId !== undefined) line += `,"trace_id":"${record.traceId}"`
  for (const name in context.logFields) {
    const value = jsonOf(context.logFields[name])
    if (value !== undefined) line += `,${text(name)}:${value}`
  }
  return `${line}}\n`
}

function text(value: string): string {
  const short = value.length > longestText ? `${value.slice(0, longestText)}…` : value
  return /["\\\u0000-\u001f\u007f-\u009f]/.test(short) ? withoutControls(JSON.stringify(short)) : `"${short}"`
}

/** Of what a plugin has set, which need not keep to its type; undefined: JSON has no form for it. */
function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(typeof value === 'bigint' ? String(value) : value)
  } catch {
    return undefined
  }
}
