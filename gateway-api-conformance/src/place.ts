// Where things are: the checkout, the cache, the cluster.
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

export const checkout = join(import.meta.dirname, '../..')

/** A folder of the cache, made when it is not there. */
export function cacheFolder(...names: readonly string[]): string {
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'wishbone', ...names)
  mkdirSync(folder, { recursive: true })
  return folder
}

/** Version of the release, such as `v0.1.0`. */
export function releaseVersion(): string {
  const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string }
  return `v${version}`
}

/** Where `npm run cluster:up` writes its administrator's kubeconfig. */
const ownKubeconfig = join(process.env['WISHBONE_CLUSTER_STATE'] ?? '/var/tmp/wishbone-cluster', 'admin.kubeconfig')

/** KUBECONFIG, or that of our own cluster. */
export function kubeconfigPath(): string {
  const named = process.env['KUBECONFIG']
  if (named) return named
  if (existsSync(ownKubeconfig)) return ownKubeconfig
  throw new Error("there is no cluster: set KUBECONFIG, or run 'npm run cluster:up'")
}

/** Whether the cluster is the one of `npm run cluster:up`, into which we may load images. */
export function isOwnCluster(): boolean {
  return existsSync(ownKubeconfig) && realpathSync(kubeconfigPath()) === realpathSync(ownKubeconfig)
}
