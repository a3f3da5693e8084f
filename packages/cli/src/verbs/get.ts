// wishbone get KIND [NAME...]: what the server has, as its table, or as YAML or JSON.

import type { KubeObject } from '@wishbone/runtime/kube'
import { stringify } from 'yaml'
import type { KindName, KubeClient } from '../kube/client.ts'
import { getObject, listObjects, tableOf } from '../kube/objects.ts'
import { type ClusterOptions, connectCluster, print, printTable, UsageError } from './context.ts'

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

interface Status {
  readonly conditions?: readonly Condition[]
  readonly parents?: readonly { readonly conditions?: readonly Condition[] }[]
  readonly ancestors?: readonly { readonly conditions?: readonly Condition[] }[]
  readonly listeners?: readonly { readonly name: string; readonly conditions?: readonly Condition[] }[]
  readonly phase?: string
}

function wordOf({ type, status, reason }: Condition): string {
  return `${type}=${status}${status === 'True' || !reason ? '' : `(${reason})`}`
}

/** The conditions of the object, of a route's parents, of a policy's Gateways, and what is wrong with listeners, in a few words. */
export function stateOf(object: KubeObject): string {
  const status = object['status'] as Status | undefined
  if (!status) return ''
  const conditions = [
    ...(status.conditions ?? []),
    ...[...(status.parents ?? []), ...(status.ancestors ?? [])].flatMap((one) => one.conditions ?? []),
  ]
  const listeners = (status.listeners ?? []).flatMap(({ name, conditions: own = [] }) => {
    const wrong = own.filter((one) => one.status === 'False' && one.type !== 'Conflicted')
    return wrong.length === 0 ? [] : [`listener ${name}: ${wrong.map(wordOf).join(' ')}`]
  })
  return [status.phase, ...new Set(conditions.map(wordOf)), ...listeners].filter(Boolean).join(' ')
}

/** One kind and the names asked for; no names: all of them. */
export interface Target {
  readonly kindWord: string
  readonly names: readonly string[]
}

/** What a person means by `pods`, `pods NAME NAME`, `pods,services` or `pod/NAME svc/NAME`. Throws UsageError. Pure. */
export function targetsOf(words: readonly string[]): readonly Target[] {
  const [first = '', ...names] = words
  if (!words.some((word) => word.includes('/'))) {
    const kinds = first.split(',').filter(Boolean)
    if (kinds.length > 1 && names.length > 0) throw new UsageError(`names go with one kind, not with ${first}`)
    return kinds.map((kindWord) => ({ kindWord, names }))
  }
  return words.map((word) => {
    const [kindWord = '', name = '', ...rest] = word.split('/')
    if (!kindWord || !name || rest.length > 0)
      throw new UsageError(`'${word}' is not KIND/NAME; either all words are KIND/NAME, or they are KIND NAME NAME …`)
    return { kindWord, names: [name] }
  })
}

// Kinds whose state is in conditions that the server's table does not show.
const ofTheMesh = /^(gateway\.networking\.k8s\.io|gateway\.networking\.x-k8s\.io|security\.istio\.io|wishbone\.dev)\//

async function printAsTable(
  client: KubeClient,
  kind: KindName,
  names: readonly string[],
  options: GetOptions,
  manyKinds: boolean,
): Promise<void> {
  const everywhere = options.allNamespaces ?? false
  const namespace = kind.namespaced && !everywhere ? client.config.namespace : undefined
  const asked = names.length > 0 ? names.map((name) => ({ name })) : [{}]
  const wide = options.output === 'wide'
  const tables = []
  for (const one of asked) {
    const selector = options.selector ? { selector: options.selector } : {}
    tables.push(await tableOf(client, kind, namespace, { ...one, ...selector, wide }))
  }
  const rows = tables.flatMap((table) => table.rows)
  if (rows.length === 0) {
    process.stderr.write(`No ${kind.plural} found${namespace ? ` in namespace ${namespace}` : ''}.\n`)
    return
  }
  const withNamespace = kind.namespaced && everywhere
  const withState = ofTheMesh.test(kind.apiVersion) && (wide || rows.some((row) => stateOf(row.object) !== ''))
  printTable(
    [...(withNamespace ? ['NAMESPACE'] : []), ...(tables[0]?.columns ?? []), ...(withState ? ['STATE'] : [])],
    rows.map(({ cells: [name = '', ...cells], object }) => [
      ...(withNamespace ? [object.metadata.namespace ?? ''] : []),
      manyKinds ? `${kind.singular}/${name}` : name,
      ...cells,
      ...(withState ? [stateOf(object)] : []),
    ]),
  )
}

async function objectsOf(
  client: KubeClient,
  kind: KindName,
  names: readonly string[],
  options: GetOptions,
): Promise<readonly KubeObject[]> {
  const namespace = kind.namespaced && !options.allNamespaces ? client.config.namespace : undefined
  if (names.length === 0) return listObjects(client, kind, namespace, options.selector)
  return Promise.all(names.map((name) => getObject(client, kind, namespace, name)))
}

export async function get(words: readonly string[], options: GetOptions): Promise<void> {
  const { output } = options
  if (output !== undefined && !['json', 'yaml', 'name', 'wide'].includes(output))
    throw new UsageError(`unknown output '${output}'; one of json, yaml, name, wide`)
  const targets = targetsOf(words)
  if (options.allNamespaces && targets.some((target) => target.names.length > 0))
    throw new UsageError('a name is in one namespace: give -n NAMESPACE instead of -A')
  const client = connectCluster(options)
  try {
    const found: { kind: KindName; objects: readonly KubeObject[] }[] = []
    for (const [index, { kindWord, names }] of targets.entries()) {
      const kind = await client.kindNamed(kindWord)
      if (output === undefined || output === 'wide') {
        if (index > 0) print('')
        await printAsTable(client, kind, names, options, targets.length > 1)
      } else found.push({ kind, objects: await objectsOf(client, kind, names, options) })
    }
    const objects = found.flatMap((part) => part.objects)
    const single = targets.length === 1 && targets[0]?.names.length === 1
    if (output === 'json')
      print(JSON.stringify(single ? objects[0] : { apiVersion: 'v1', kind: 'List', items: objects }, null, 2))
    if (output === 'yaml')
      print(
        objects
          .map((object) => stringify(object))
          .join('---\n')
          .trimEnd(),
      )
    if (output === 'name')
      for (const { kind, objects: own } of found)
        for (const object of own) print(`${kind.singular}/${object.metadata.name}`)
  } finally {
    client.close()
  }
}
