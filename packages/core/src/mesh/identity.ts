// The identity that a workload must prove.
import type { SpiffeId } from '../identity/spiffe.ts'
import { defaults } from '../names/constants.ts'
import type { Workload } from './types.ts'

export function identityOf(workload: Workload): SpiffeId {
  return {
    trustDomain: workload.trustDomain || defaults.trustDomain,
    namespace: workload.namespace,
    serviceAccount: workload.serviceAccount || defaults.serviceAccount,
  }
}
