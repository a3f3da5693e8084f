// Authorization: of connections exactly as Istio's ztunnel decides (ambient wire §2.5, §4.3), and of requests at waypoints.
// The same code explains its answer.
export {
  type Authorization,
  type AuthorizationResult,
  authorize,
  decide,
  explain,
  type PolicyVerdict,
} from './authorize.ts'
export { type ConnectionFacts, matchesPolicy } from './match.ts'
export { matchesRequestPolicy, type RequestFacts, validateRequestPolicy } from './request.ts'
export { validateAuthorization } from './validate.ts'
