// Gateways without Kubernetes and without root, as the command line starts them.
export { type Standalone, type StandaloneEvent, startStandalone } from './standalone.ts'
