// What the overlay tells: access log, metrics, dumps.
export { accessFields } from './access-log.ts'
export { Connection } from './connection.ts'
export type { ConnectionEnd, ConnectionEnds } from './ends.ts'
export { labelsOf, type TcpLabelValues, tcpLabels } from './labels.ts'
export { Reporter } from './reporter.ts'
