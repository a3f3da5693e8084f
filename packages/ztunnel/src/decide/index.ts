// The decisions of the overlay: pure functions from the mesh's state and a connection's facts.
export { authorizeInbound, decideInbound } from './inbound.ts'
export { decideOutbound } from './outbound.ts'
export type { InboundDecision, InboundFacts, OutboundDecision, OutboundFacts, Reject } from './types.ts'
