// What the commands do with objects: apply, list, get, delete.
import { isStatus, type KubeObject } from '@wishbone/runtime/kube'
import type { KindName, KubeClient } from './client.ts'

/** `kind/name` with its namespace, as messages name an object. */
export function refOf(object: KubeObject): string {
  const { namespace, name } = object.metadata
  return `${object.kind.toLowerCase()}/${namespace ? `${namespace}/` : ''}${name}`
}

async function place(client: KubeClient, object: KubeObject): Promise<{ kind: KindName; path: string }> {
  const kind = await client.kindOf(object)
  const namespace = kind.namespaced ? (object.metadata.namespace ?? client.config.namespace) : undefined
  return { kind, path: client.pathOf(kind, namespace, object.metadata.name) }
}

/** Server-side apply with unknown fields refused; the outcome in kubectl's words. */
export async function applyObject(
  client: KubeClient,
  object: KubeObject,
): Promise<'created' | 'configured' | 'unchanged'> {
  const { path } = await place(client, object)
  const before = await client.request<KubeObject>('GET', path).catch((cause: unknown) => {
    if (isStatus(cause, 404)) return undefined
    throw cause
  })
  const query = { fieldManager: 'wishbone', force: 'true', fieldValidation: 'Strict' }
  const after = await client.request<KubeObject>('PATCH', path, { body: object, patch: 'apply', query })
  if (!before) return 'created'
  return before.metadata.resourceVersion === after.metadata.resourceVersion ? 'unchanged' : 'configured'
}

/** Resolves to false when it was not there. */
export async function deleteObject(client: KubeClient, object: KubeObject): Promise<boolean> {
  const { path } = await place(client, object)
  try {
    await client.request('DELETE', path)
    return true
  } catch (cause) {
    if (isStatus(cause, 404)) return false
    throw cause
  }
}

export async function listObjects(
  client: KubeClient,
  kind: KindName,
  namespace: string | undefined,
  selector?: string,
): Promise<readonly KubeObject[]> {
  const query = { labelSelector: selector || undefined }
  const { items } = await client.request<{ items: KubeObject[] }>('GET', client.pathOf(kind, namespace), { query })
  return items.map((item) => ({ ...item, apiVersion: kind.apiVersion, kind: kind.kind }))
}

/** What the server would show a person of some objects. */
export interface Table {
  readonly columns: readonly string[]
  /** Cells as text, in the order of `columns`; `object` is whole. */
  readonly rows: readonly { readonly cells: readonly string[]; readonly object: KubeObject }[]
}

interface TableAnswer {
  readonly kind: string
  readonly columnDefinitions?: readonly { readonly name: string; readonly priority?: number }[]
  readonly rows?: readonly { readonly cells: readonly unknown[]; readonly object: KubeObject }[]
}

/**
 * A list, or the one object named, as the table that the server makes of it (meta.k8s.io/v1 Table); `wide` with the
 * columns of lower priority.
 */
export async function tableOf(
  client: KubeClient,
  kind: KindName,
  namespace: string | undefined,
  options: { readonly name?: string; readonly selector?: string; readonly wide?: boolean },
): Promise<Table> {
  const query = { includeObject: 'Object', labelSelector: options.selector || undefined }
  const path = client.pathOf(kind, namespace, options.name)
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
  const answer = await client.request<TableAnswer>('GET', path, { query, accept })
  const definitions = answer.columnDefinitions ?? []
  const shown = definitions.flatMap(({ priority = 0 }, index) => (priority === 0 || options.wide ? [index] : []))
  return {
    columns: shown.map((index) => (definitions[index]?.name ?? '').toUpperCase()),
    rows: (answer.rows ?? []).map(({ cells, object }) => ({
      cells: shown.map((index) => String(cells[index] ?? '')),
      object: { ...object, apiVersion: kind.apiVersion, kind: kind.kind },
    })),
  }
}

export function getObject(
  client: KubeClient,
  kind: KindName,
  namespace: string | undefined,
  name: string,
): Promise<KubeObject> {
  return client.request<KubeObject>('GET', client.pathOf(kind, namespace, name))
}
