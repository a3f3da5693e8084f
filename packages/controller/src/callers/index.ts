// Callers of the controller's gRPC services: who they are, and what that lets them see.
export { clientScope, gatewayNameLabel, type ScopeAnswer, type ScopeSources } from './client-scope.ts'
export { accountOf, createPodLookup, type PodLookup } from './pods.ts'
export { type Caller, type Review, TokenReviewer } from './token-review.ts'
