// What filters do to a request or response, as functions of data. Nothing here sends anything.
export { applyCors, type CorsPolicy, isPreflight, preflightHeaders } from './cors.ts'
export { decideFault, type Fault, type FaultDecision } from './fault.ts'
export {
  appendHeader,
  applyHeaderModifier,
  getHeader,
  type HeaderList,
  type HeaderModifier,
  removeHeader,
  setHeader,
} from './headers.ts'
export { createSampler } from './mirror.ts'
export { locationOf, type Redirect, type RedirectFacts } from './redirect.ts'
export { type PathRewrite, rewritePath } from './rewrite.ts'
