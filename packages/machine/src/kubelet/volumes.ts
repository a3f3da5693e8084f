// A pod's volumes as folders, and which of them a container sees where. Contents are written atomically and again when they change.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import type { Container, KeyToPath, Pod, ProjectedSource, Volume } from '../types.ts'
import { configMapData, fieldOf, type Lookup, NotYet, secretData } from './environment.ts'

export interface TokenSource {
  /** A service-account token bound to the pod. */
  token(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string>
}

export interface VolumeContext {
  readonly lookup: Lookup
  readonly tokens: TokenSource
  readonly node: { readonly ip: string; readonly folder: string }
  /** The pod's own folder. */
  readonly folder: string
}

export interface Mount {
  readonly source: string
  readonly target: string
}

export const accountVolume = 'kube-api-access'
const accountPath = '/var/run/secrets/kubernetes.io/serviceaccount'

/** The pod's volumes, with the one for the API server that Kubernetes adds. */
export function volumesOf(pod: Pod): readonly Volume[] {
  const own = pod.spec.volumes ?? []
  if (pod.spec.automountServiceAccountToken === false) return own
  const sources: ProjectedSource[] = [
    { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
  ]
  return [...own, { name: accountVolume, projected: { sources } }]
}

/** A path inside a volume; refused where it would lead out of it. */
function inside(path: string): string {
  const clean = posix.normalize(path)
  if (clean.startsWith('..') || clean.startsWith('/'))
    throw new NotYet('CreateContainerConfigError', `the path '${path}' leads out of its volume`)
  return clean
}

function pick(
  files: Map<string, Buffer>,
  data: Readonly<Record<string, Buffer>>,
  items: readonly KeyToPath[] | undefined,
): void {
  for (const { key, path } of items ?? Object.keys(data).map((key) => ({ key, path: key }))) {
    const content = data[key]
    if (content) files.set(inside(path), content)
  }
}

async function filesOf(
  pod: Pod,
  source: ProjectedSource,
  context: VolumeContext,
  files: Map<string, Buffer>,
): Promise<void> {
  const namespace = pod.metadata.namespace ?? ''
  if (source.configMap) {
    const data = configMapData(context.lookup.configMap(namespace, source.configMap.name))
    if (data) pick(files, data, source.configMap.items)
    else if (!source.configMap.optional)
      throw new NotYet(
        'ContainerCreating',
        `waiting for ConfigMap ${namespace}/${source.configMap.name}, which a volume needs`,
      )
  }
  if (source.secret) {
    const data = secretData(context.lookup.secret(namespace, source.secret.name))
    if (data) pick(files, data, source.secret.items)
    else if (!source.secret.optional)
      throw new NotYet(
        'ContainerCreating',
        `waiting for Secret ${namespace}/${source.secret.name}, which a volume needs`,
      )
  }
  for (const { path, fieldRef } of source.downwardAPI?.items ?? []) {
    if (fieldRef) files.set(inside(path), Buffer.from(fieldOf(pod, fieldRef.fieldPath, context.node) ?? ''))
  }
  if (source.serviceAccountToken) {
    const { path, audience, expirationSeconds = 3600 } = source.serviceAccountToken
    files.set(inside(path), Buffer.from(await context.tokens.token(pod, audience, expirationSeconds)))
  }
}

function sourcesOf(volume: Volume): readonly ProjectedSource[] | undefined {
  if (volume.configMap) return [{ configMap: volume.configMap }]
  if (volume.secret) {
    const { secretName, items, optional } = volume.secret
    return [
      { secret: { name: secretName, ...(items ? { items } : {}), ...(optional === undefined ? {} : { optional }) } },
    ]
  }
  if (volume.downwardAPI) return [{ downwardAPI: volume.downwardAPI }]
  return volume.projected?.sources
}

function writeIfChanged(path: string, content: Buffer): void {
  try {
    if (readFileSync(path).equals(content)) return
  } catch {}
  mkdirSync(dirname(path), { recursive: true })
  const partial = `${path}.new`
  writeFileSync(partial, content, { mode: 0o600 })
  renameSync(partial, path)
}

function removeOthers(folder: string, files: ReadonlyMap<string, Buffer>): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const known = files.has(name) || [...files.keys()].some((path) => path.startsWith(`${name}/`))
    if (!known) rmSync(join(folder, name), { recursive: true, force: true })
  }
}

/** Host paths below these are the node's own folder, so that nodes don't share them and the machine's stay untouched. */
export function hostFolder(nodeFolder: string, path: string): string | undefined {
  const clean = posix.normalize(path).replace(/^\/var\/run(?=\/|$)/, '/run')
  return clean.startsWith('/run/') ? join(nodeFolder, clean) : undefined
}

/**
 * Writes every volume of the pod and returns the folder of each. Throws NotYet while something is missing.
 * Call again to bring contents up to date.
 */
export async function writeVolumes(pod: Pod, context: VolumeContext): Promise<ReadonlyMap<string, string>> {
  const folders = new Map<string, string>()
  for (const volume of volumesOf(pod)) {
    if (volume.hostPath) {
      const own = hostFolder(context.node.folder, volume.hostPath.path)
      if (own) mkdirSync(own, { recursive: true })
      folders.set(volume.name, own ?? volume.hostPath.path)
      continue
    }
    const folder = join(context.folder, 'volumes', volume.name)
    mkdirSync(folder, { recursive: true })
    folders.set(volume.name, folder)
    const sources = sourcesOf(volume)
    if (!sources) continue
    const files = new Map<string, Buffer>()
    for (const source of sources) await filesOf(pod, source, context, files)
    for (const [path, content] of files) writeIfChanged(join(folder, path), content)
    removeOthers(folder, files)
  }
  return folders
}

/** What a container mounts where; and the mounts that cannot be made here, in words. */
export function mountsOf(
  pod: Pod,
  container: Container,
  folders: ReadonlyMap<string, string>,
): { mounts: readonly Mount[]; refused: readonly string[] } {
  const wanted = [...(container.volumeMounts ?? [])]
  if (folders.has(accountVolume) && pod.spec.automountServiceAccountToken !== false)
    wanted.push({ name: accountVolume, mountPath: accountPath })
  const mounts: Mount[] = []
  const refused: string[] = []
  for (const { name, mountPath, subPath } of wanted) {
    const folder = folders.get(name)
    const target = posix.normalize(mountPath).replace(/^\/var\/run(?=\/|$)/, '/run')
    if (!folder) refused.push(`volume '${name}' of container ${container.name} is not among the pod's volumes`)
    else if (!target.startsWith('/run/')) {
      refused.push(
        `volume '${name}' is not mounted at ${mountPath}: here only paths below /run and /var/run can be, since the pod shares the machine's files`,
      )
    } else mounts.push({ source: subPath ? join(folder, inside(subPath)) : folder, target })
  }
  return { mounts, refused }
}
