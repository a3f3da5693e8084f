// The API server's certificates and the kubeconfig. Keys live in memory only; the kubeconfig holds the administrator's token.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { issueLeaf, selfSignedRoot } from '@wishbone/runtime/certificates'

const yearSeconds = 365 * 86_400

export interface ServingCredentials {
  readonly caPem: string
  readonly certPem: string
  readonly keyPem: string
}

/** A cluster authority and a serving certificate for the usual names of an API server and those given. */
export function createServingCredentials(names: readonly string[]): ServingCredentials {
  const root = selfSignedRoot({ organization: 'kubernetes', ttlSeconds: yearSeconds })
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const all = [
    'localhost',
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
    '127.0.0.1',
    '::1',
    ...names,
  ]
  const leaf = issueLeaf({
    publicKey,
    dnsSans: all.filter((name) => isIP(name) === 0),
    ipSans: all.filter((name) => isIP(name) !== 0),
    ttlSeconds: yearSeconds,
    signer: root,
  })
  return {
    caPem: root.certPem,
    certPem: leaf.pem,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
}

export function createAdminToken(): string {
  return randomBytes(32).toString('base64url')
}

/** Writes `<stateDir>/kubeconfig`, readable by its owner only, and returns its path. */
export function writeKubeconfig(
  stateDir: string,
  cluster: { readonly port: number; readonly caPem: string; readonly token: string },
): string {
  const path = join(stateDir, 'kubeconfig')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'wishbone',
    clusters: [
      {
        name: 'wishbone',
        cluster: {
          server: `https://127.0.0.1:${cluster.port}`,
          'certificate-authority-data': Buffer.from(cluster.caPem).toString('base64'),
        },
      },
    ],
    users: [{ name: 'wishbone-admin', user: { token: cluster.token } }],
    contexts: [{ name: 'wishbone', context: { cluster: 'wishbone', user: 'wishbone-admin', namespace: 'default' } }],
  }
  // JSON is YAML.
  writeFileSync(path, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 })
  return path
}
