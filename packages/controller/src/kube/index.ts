// The Kubernetes API as the controller uses it: requests, list-watches, and the store that they fill.
export {
  type Connection,
  fixedConnection,
  isStatus,
  KubeClient,
  KubeError,
  type KubeObject,
  loadConnection,
  type ObjectMeta,
} from '@wishbone/runtime/kube'
export { Debouncer } from './debounce.ts'
export { runElection } from './lease.ts'
export { kindOf, type ResourceKind, resourcePath, type WatchedName, watchedKinds, watchedNameOf } from './resources.ts'
export { freezeSnapshot } from './snapshot.ts'
export { Store, type StoreObserver } from './store.ts'
