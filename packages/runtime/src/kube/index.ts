// The Kubernetes API for programs that follow it: where it is, requests, list-watches. No caches, no kinds.
export {
  KubeClient,
  type KubeObject,
  type ObjectMeta,
  type OwnerReference,
  type PatchType,
  type RequestOptions,
  type WatchEvent,
} from './client.ts'
export { type Connection, fixedConnection, loadConnection, socketConnection, urlOf } from './connection.ts'
export { isStatus, KubeError, messageOf } from './error.ts'
export {
  type ListWatchHandler,
  type ListWatchLog,
  type ListWatchOptions,
  type ListWatchState,
  listWatch,
} from './listwatch.ts'
export { type ResourceKind, resourcePath, type WatchedKind } from './resource.ts'
