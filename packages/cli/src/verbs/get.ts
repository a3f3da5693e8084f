// wishbone get KIND [NAME]: what the server has, as a table or as YAML or JSON.
import { stringify } from 'yaml'
import type { KubeObject } from '../kube/client.ts'
import { getObject, listObjects } from '../kube/objects.ts'
import { ageOf, type ClusterOptions, connectCluster, print, printTable, UsageError } from './context.ts'

export interface GetOptions extends ClusterOptions {
  readonly allNamespaces?: boolean
  readonly output?: string
  readonly selector?: string
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
}

/** The conditions of the object, of its route parents or of its container statuses, in a few words. */
export function stateOf(object: KubeObject): string {
  const status = object['status'] as
    | { conditions?: Condition[]; parents?: { conditions?: Condition[] }[]; phase?: string }
    | undefined
  if (!status) return ''
  const conditions = [
    ...(status.conditions ?? []),
    ...(status.parents ?? []).flatMap((parent) => parent.conditions ?? []),
  ]
  const words = conditions.map(
    (condition) =>
      `${condition.type}=${condition.status}${condition.status === 'True' || !condition.reason ? '' : `(${condition.reason})`}`,
  )
  return [status.phase, ...new Set(words)].filter(Boolean).join(' ')
}

export async function get(word: string, name: string | undefined, options: GetOptions): Promise<void> {
  const client = connectCluster(options)
  try {
    const kind = await client.kindNamed(word)
    const namespace = kind.namespaced && !options.allNamespaces ? client.config.namespace : undefined
    const objects = name
      ? [await getObject(client, kind, namespace, name)]
      : await listObjects(client, kind, namespace, options.selector)
    switch (options.output) {
      case 'json':
        return print(JSON.stringify(name ? objects[0] : { apiVersion: 'v1', kind: 'List', items: objects }, null, 2))
      case 'yaml':
        return print(
          objects
            .map((object) => stringify(object))
            .join('---\n')
            .trimEnd(),
        )
      case 'name':
        return print(objects.map((object) => `${kind.singular}/${object.metadata.name}`).join('\n'))
      case undefined:
        break
      default:
        throw new UsageError(`unknown output '${options.output}'; one of json, yaml, name`)
    }
    if (objects.length === 0) return print(`No ${kind.plural} found${namespace ? ` in ${namespace}` : ''}.`)
    const now = Date.now()
    const headings = [...(namespace || !kind.namespaced ? [] : ['NAMESPACE']), 'NAME', 'AGE', 'STATE']
    printTable(
      headings,
      objects.map((object) => [
        ...(namespace || !kind.namespaced ? [] : [object.metadata.namespace ?? '']),
        object.metadata.name,
        ageOf(object.metadata.creationTimestamp, now),
        stateOf(object),
      ]),
    )
  } finally {
    client.close()
  }
}
