// Workload identities: SPIFFE URIs of the form spiffe://<trust domain>/ns/<namespace>/sa/<service account>.
export { equalIdentity, formatSpiffe, parseSpiffe, principalOf, type SpiffeId } from './spiffe.ts'
