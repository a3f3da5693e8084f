// Which endpoint of a service a connection goes to, and at which address and port (ambient wire §4.2).
export { type BalancingFacts, candidatesOf, pickEndpoint } from './pick.ts'
export { addressOf, hasAddress, ipKeyFamily, targetPortOf } from './target.ts'
export { pickWeighted } from './weighted.ts'
