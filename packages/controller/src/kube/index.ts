// What the controller knows of the Kubernetes API: which kinds, the store of their objects, and who of the replicas leads.
export { Debouncer } from './debounce.ts'
export { runElection } from './lease.ts'
export { kindOf, type WatchedName, watchedKinds, watchedNameOf } from './resources.ts'
export { freezeSnapshot } from './snapshot.ts'
export { Store, type StoreObserver } from './store.ts'
