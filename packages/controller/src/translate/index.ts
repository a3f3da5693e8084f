// The whole translation, from the cluster's objects to what proxies and the Kubernetes API get.
export { translate } from './translate.ts'
