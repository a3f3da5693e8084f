// The whole translation, from the cluster's objects to what proxies and the Kubernetes API get.
export { overlayKeys } from './infra/parameters.ts'
export { managedByLabel } from './names.ts'
export { RouteMemory } from './routes/memory.ts'
export { translate } from './translate.ts'
