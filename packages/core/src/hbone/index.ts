// The text of HBONE: authorities, baggage, forwarded, traceparent, and the numbers both ends agree on (ambient wire §1).
export { type Authority, formatAuthority, parseAuthority } from './authority.ts'
export { type Baggage, type BaggageWorkloadType, baggageOf, formatBaggage, parseBaggage } from './baggage.ts'
export { type Forwarded, formatForwarded, parseForwarded } from './forwarded.ts'
export { headerNames, http2Parameters, illegalPorts } from './parameters.ts'
export { newTraceparent, parseTraceparent, type Traceparent } from './traceparent.ts'
