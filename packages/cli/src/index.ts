// What other packages may use of the command line: the client and the functions behind its verbs.
export { type ExecResult, exec, forwardConnection } from './kube/channels.ts'
export { createKubeClient, type KindName, type KubeClient } from './kube/client.ts'
export { readKubeConfig } from './kube/config.ts'
export { applyObject, deleteObject, getObject, listObjects } from './kube/objects.ts'
export { createProgress } from './verbs/long-running.ts'
export { narrate, systemManifests } from './verbs/up.ts'
