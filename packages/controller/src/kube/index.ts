// The Kubernetes API as the controller uses it: requests, list-watches, and the store that they fill.
export { KubeClient, type KubeObject, type ObjectMeta } from './client.ts'
export { type Connection, loadConnection, plainConnection } from './connection.ts'
export { Debouncer } from './debounce.ts'
export { isStatus, KubeError } from './error.ts'
export { runElection } from './lease.ts'
export { kindOf, type ResourceKind, resourcePath, type WatchedName, watchedKinds, watchedNameOf } from './resources.ts'
export { freezeSnapshot } from './snapshot.ts'
export { Store, type StoreObserver } from './store.ts'
