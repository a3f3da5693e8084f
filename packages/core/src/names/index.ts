// The names of things: Kubernetes objects, xDS resources, ports, labels, and limits on names.

export { clientNameTable, defaults, ports } from './constants.ts'
export { hashName, isDnsLabel, isDnsName } from './kubernetes.ts'
export {
  addressName,
  authorizationName,
  type ParsedAddressName,
  parseAddressName,
  serviceFqdn,
  serviceName,
  splitName,
  workloadUid,
} from './resources.ts'
