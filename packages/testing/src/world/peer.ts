// Istio's Rust ztunnel, to interoperate with and to measure against: $ZTUNNEL_BIN, or ztunnel.xz in ../shared/peers beside the checkout.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemManifests } from '@wishbone/cli'
import { parseAllDocuments, stringify } from 'yaml'

const packed = fileURLToPath(new URL('../../../../../shared/peers/ztunnel.xz', import.meta.url))

/** The path of the peer's binary; undefined where there is none. Unpacked once into the cache outside the checkout. */
export function rustZtunnel(): string | undefined {
  const given = process.env['ZTUNNEL_BIN']
  if (given) return given
  if (!existsSync(packed)) return undefined
  const digest = createHash('sha256').update(readFileSync(packed)).digest('hex').slice(0, 16)
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'wishbone')
  const path = join(folder, `rust-ztunnel-${digest}`)
  if (existsSync(path)) return path
  mkdirSync(folder, { recursive: true })
  const unpacked = spawnSync('xz', ['-dc', packed], { maxBuffer: 1 << 30 })
  if (unpacked.status !== 0)
    throw new Error(`cannot unpack ${packed} with xz: ${unpacked.error?.message ?? unpacked.stderr.toString()}`)
  const partial = `${path}.${process.pid}`
  writeFileSync(partial, unpacked.stdout)
  chmodSync(partial, 0o755)
  renameSync(partial, path)
  return path
}

interface Variable {
  readonly name: string
  readonly value?: string
}

interface Manifest {
  readonly kind: string
  readonly metadata: { name: string; readonly namespace?: string }
  readonly spec?: {
    template?: {
      spec: {
        nodeSelector?: Record<string, string>
        containers: { name: string; image: string; args?: string[]; env: Variable[] }[]
      }
    }
    selector?: { matchLabels: Record<string, string> }
  }
}

/** Writes the mesh's manifests, changed by `edit`, into `folder`; what to give a world as its systemManifests. */
export function editedManifests(folder: string, edit: (manifest: Manifest) => readonly unknown[]): readonly string[] {
  mkdirSync(folder, { recursive: true })
  return systemManifests.map((path, index) => {
    if (!path.endsWith('machine.yaml')) return path
    const objects = parseAllDocuments(readFileSync(path, 'utf8')).flatMap((document) =>
      edit(document.toJS() as Manifest),
    )
    const edited = join(folder, `system${index}.yaml`)
    writeFileSync(edited, objects.map((object) => stringify(object, { aliasDuplicateObjects: false })).join('---\n'))
    return edited
  })
}

/** In the place of those of the same names: the API takes no variable twice. */
function setVariables(env: Variable[], values: Readonly<Record<string, string>>): void {
  const others = env.filter(({ name }) => !(name in values))
  env.splice(0, env.length, ...others, ...Object.entries(values).map(([name, value]) => ({ name, value })))
}

/** Environment variables for one of the mesh's own programs. */
export function withEnvironment(
  folder: string,
  program: 'ztunnel' | 'wishbone-controller' | 'wishbone-node',
  environment: Readonly<Record<string, string>>,
): readonly string[] {
  return editedManifests(folder, (manifest) => {
    if (manifest.metadata.name === program && manifest.spec?.template !== undefined) {
      setVariables(manifest.spec.template.spec.containers[0]?.env ?? [], environment)
    }
    return [manifest]
  })
}

export function withZtunnelEnvironment(
  folder: string,
  environment: Readonly<Record<string, string>>,
): readonly string[] {
  return withEnvironment(folder, 'ztunnel', environment)
}

export const rustImage = 'istio/ztunnel:rust'

/** images.yaml lines for the peer. */
export function rustImageLines(binary: string): string {
  return `  ${rustImage}:\n    command: ['${binary}', proxy, ztunnel]\n`
}

/** The mesh's manifests with the Rust ztunnel as the proxy of these nodes and ours on the others. */
export function withRustZtunnel(
  folder: string,
  rustNodes: readonly string[],
  ownNodes: readonly string[],
): readonly string[] {
  const settings = {
    XDS_ADDRESS: 'https://wishbone-controller.wishbone-system.svc:15012',
    CA_ADDRESS: 'https://wishbone-controller.wishbone-system.svc:15012',
    XDS_ROOT_CA: '/var/run/secrets/wishbone/root-cert.pem',
    CA_ROOT_CA: '/var/run/secrets/wishbone/root-cert.pem',
    AUTH_TOKEN: '/var/run/secrets/tokens/istio-token',
    INPOD_UDS: '/var/run/ztunnel/ztunnel.sock',
    PROXY_MODE: 'shared',
    CLUSTER_ID: 'Kubernetes',
    RUST_LOG: 'info',
  }
  return editedManifests(folder, (manifest) => {
    if (manifest.kind !== 'DaemonSet' || manifest.metadata.name !== 'ztunnel') return [manifest]
    const on = (node: string, rust: boolean): Manifest => {
      const copy = structuredClone(manifest)
      copy.metadata.name = `ztunnel-${rust ? 'rust' : 'own'}-${node}`
      const { spec } = copy.spec!.template!
      spec.nodeSelector = { 'kubernetes.io/hostname': node }
      const [container] = spec.containers
      if (rust && container) {
        container.image = rustImage
        delete container.args
        setVariables(container.env, settings)
      }
      return copy
    }
    return [...ownNodes.map((node) => on(node, false)), ...rustNodes.map((node) => on(node, true))]
  })
}
