// Reads a kubeconfig: which server, which authority, which credentials. Files it names are read relative to it.
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'

export interface KubeConfig {
  readonly server: string
  readonly namespace: string
  readonly ca?: string
  readonly certificate?: string
  readonly key?: string
  readonly token?: string
}

interface ConfigFile {
  readonly 'current-context'?: string
  readonly contexts?: readonly { name: string; context: { cluster: string; user: string; namespace?: string } }[]
  readonly clusters?: readonly {
    name: string
    cluster: { server: string; 'certificate-authority'?: string; 'certificate-authority-data'?: string }
  }[]
  readonly users?: readonly { name: string; user: Readonly<Record<string, string>> }[]
}

function find<T extends { name: string }>(list: readonly T[] | undefined, name: string, what: string, path: string): T {
  const found = list?.find((entry) => entry.name === name)
  if (!found) throw new Error(`${path}: there is no ${what} named '${name}'`)
  return found
}

/** Where to look when nothing is said: $KUBECONFIG, then ./.wishbone/kubeconfig of a running `wishbone up`, then ~/.kube/config. */
export function kubeconfigPaths(environment: Readonly<Record<string, string | undefined>>): readonly string[] {
  const named = environment['KUBECONFIG']
  if (named) return [named]
  return [resolve('.wishbone/kubeconfig'), join(homedir(), '.kube', 'config')]
}

/** Throws with the file's name and what is missing in it. */
export function readKubeConfig(path: string): KubeConfig {
  const file = parse(readFileSync(path, 'utf8')) as ConfigFile | null
  const current = file?.['current-context']
  if (!file || !current) throw new Error(`${path}: no current-context; choose one with 'kubectl config use-context'`)
  const context = find(file.contexts, current, 'context', path).context
  const cluster = find(file.clusters, context.cluster, 'cluster', path).cluster
  const user = find(file.users, context.user, 'user', path).user
  const here = dirname(resolve(path))
  const text = (inline: string | undefined, file: string | undefined): string | undefined => {
    if (inline) return Buffer.from(inline, 'base64').toString('utf8')
    return file ? readFileSync(resolve(here, file), 'utf8') : undefined
  }
  const ca = text(cluster['certificate-authority-data'], cluster['certificate-authority'])
  const certificate = text(user['client-certificate-data'], user['client-certificate'])
  const key = text(user['client-key-data'], user['client-key'])
  const token =
    user['token'] ?? (user['tokenFile'] ? readFileSync(resolve(here, user['tokenFile']), 'utf8').trim() : undefined)
  return {
    server: cluster.server,
    namespace: context.namespace ?? 'default',
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { key }),
    ...(token === undefined ? {} : { token }),
  }
}
