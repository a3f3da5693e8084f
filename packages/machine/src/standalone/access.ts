// What users may ask of the pods here: their logs. They have no namespaces to run commands in.
import { connect } from 'node:net'
import { type PodAccess, PodAccessError } from '../kubelet/access.ts'
import { readLog } from '../kubelet/logs.ts'
import { loopback, type PodProcess } from './pod-process.ts'

export function podAccess(find: (namespace: string, pod: string) => PodProcess | undefined): PodAccess {
  const found = (namespace: string, pod: string): PodProcess => {
    const process = find(namespace, pod)
    if (!process) throw new PodAccessError(404, `pod ${namespace}/${pod} does not run here`)
    return process
  }
  return {
    async logs(namespace, pod, request) {
      const process = found(namespace, pod)
      const path = request.previous ? process.previousLogPath : process.logPath
      if (path === undefined) throw new PodAccessError(400, `previous terminated container in pod "${pod}" not found`)
      return readLog(path, request, () => process.isStopping)
    },
    async exec() {
      throw new PodAccessError(400, 'the process of this pod has no container: run the command on this machine')
    },
    async connect(namespace, pod, port) {
      found(namespace, pod)
      return connect({ host: loopback, port, allowHalfOpen: true })
    },
  }
}
