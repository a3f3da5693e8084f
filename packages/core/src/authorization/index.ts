// L4 authorization, exactly as Istio's ztunnel decides (ambient wire §2.5, §4.3). The same code explains its answer.
export { type Authorization, type AuthorizationResult, authorize, explain, type PolicyVerdict } from './authorize.ts'
export { type ConnectionFacts, matchesPolicy } from './match.ts'
export { validateAuthorization } from './validate.ts'
