// A cluster as scenes and worlds see it: everything through the Kubernetes API.
export * from './cluster.ts'
export { interruptWaits, until } from './until.ts'
