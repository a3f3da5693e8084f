// Makes of the chart's objects those that packages/machine can run: its containers are this user's processes among this
// machine's files, so what fences a container in, or rations it, goes, and so do the folders of a real node.
import { isMap, isSeq, parseAllDocuments, type YAMLMap } from 'yaml'

const podFields = ['securityContext', 'shareProcessNamespace', 'affinity', 'tolerations']
const containerFields = ['securityContext', 'resources', 'imagePullPolicy']

/** Comments stay. */
export function forMachine(manifests: string): string {
  const documents = parseAllDocuments(manifests)
  for (const document of documents) {
    const pod = document.getIn(['spec', 'template', 'spec'])
    if (isMap(pod)) adaptPod(pod)
  }
  return documents.map((document) => document.toString({ lineWidth: 0, directives: false })).join('---\n')
}

function adaptPod(pod: YAMLMap): void {
  for (const field of podFields) pod.delete(field)
  const gone = new Set<unknown>()
  removeWhere(pod.get('volumes'), (volume) => {
    const path = volume.getIn(['hostPath', 'path'])
    const isNodes = typeof path === 'string' && !path.startsWith('/var/run/')
    if (isNodes) gone.add(volume.get('name'))
    return isNodes
  })
  for (const container of itemsOf(pod.get('containers'))) {
    for (const field of containerFields) container.delete(field)
    removeWhere(container.get('volumeMounts'), (mount) => gone.has(mount.get('name')))
  }
}

function itemsOf(list: unknown): readonly YAMLMap[] {
  return isSeq(list) ? list.items.filter((item) => isMap(item)) : []
}

function removeWhere(list: unknown, isUnwanted: (item: YAMLMap) => boolean): void {
  if (!isSeq(list)) return
  list.items = list.items.filter((item) => !isMap(item) || !isUnwanted(item))
}
