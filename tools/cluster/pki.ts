// The cluster's certificate authority, certificates, service-account keys and kubeconfigs, made anew for each cluster.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { issueLeaf, type Signer, selfSignedRoot } from '../../packages/runtime/src/certificates/index.ts'
import { network, nodes, paths } from './settings.ts'

const ttlSeconds = 10 * 365 * 24 * 3600
const server = `https://${network.hostIp}:${network.apiPort}`

interface Identity {
  readonly file: string
  readonly commonName: string
  readonly organization?: string
  readonly dnsSans?: readonly string[]
  readonly ipSans?: readonly string[]
  readonly kubeconfig: boolean
}

const identities: readonly Identity[] = [
  {
    file: 'apiserver',
    commonName: 'kube-apiserver',
    dnsSans: [
      'localhost',
      ...['', '.default', '.default.svc', '.default.svc.cluster.local'].map((s) => `kubernetes${s}`),
    ],
    ipSans: [network.apiService, network.hostIp, '127.0.0.1'],
    kubeconfig: false,
  },
  { file: 'etcd', commonName: 'etcd', dnsSans: ['localhost'], ipSans: ['127.0.0.1'], kubeconfig: false },
  { file: 'kubelet-client', commonName: 'apiserver-kubelet-client', organization: 'system:masters', kubeconfig: false },
  { file: 'admin', commonName: 'admin', organization: 'system:masters', kubeconfig: true },
  { file: 'controller-manager', commonName: 'system:kube-controller-manager', kubeconfig: true },
  { file: 'scheduler', commonName: 'system:kube-scheduler', kubeconfig: true },
  { file: 'kube-proxy', commonName: 'system:kube-proxy', kubeconfig: true },
  { file: 'load-balancer', commonName: 'wishbone-load-balancer', kubeconfig: true },
  ...nodes.map(({ name, ip }) => ({
    file: name,
    commonName: `system:node:${name}`,
    organization: 'system:nodes',
    dnsSans: [name],
    ipSans: [ip],
    kubeconfig: true,
  })),
]

const pem = (key: KeyObject): string =>
  key.export({ format: 'pem', type: key.type === 'private' ? 'pkcs8' : 'spki' }) as string

function secret(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 })
}

/** Writes NAME.crt and NAME.key below `paths.pki` and NAME.kubeconfig below `paths.state`. */
export function makePki(): void {
  mkdirSync(paths.pki, { recursive: true, mode: 0o700 })
  const root = selfSignedRoot({ organization: 'wishbone-cluster', ttlSeconds })
  writeFileSync(join(paths.pki, 'ca.crt'), root.certPem)
  secret(join(paths.pki, 'ca.key'), pem(root.key))
  const accounts = generateKeyPairSync('rsa', { modulusLength: 2048 })
  secret(join(paths.pki, 'service-accounts.key'), pem(accounts.privateKey))
  writeFileSync(join(paths.pki, 'service-accounts.pub'), pem(accounts.publicKey))
  for (const identity of identities) issue(identity, root)
}

function issue(identity: Identity, signer: Signer): void {
  const { file, commonName, organization, dnsSans = [], ipSans = [] } = identity
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = { commonName, ...(organization === undefined ? {} : { organization }) }
  const certificate = issueLeaf({ publicKey, subject, dnsSans, ipSans, ttlSeconds, signer }).pem
  writeFileSync(join(paths.pki, `${file}.crt`), certificate)
  secret(join(paths.pki, `${file}.key`), pem(privateKey))
  if (identity.kubeconfig)
    secret(
      join(paths.state, `${file}.kubeconfig`),
      kubeconfig(file, { ca: signer.certPem, certificate, key: pem(privateKey) }),
    )
}

/** A kubeconfig; JSON is YAML. */
function kubeconfig(
  user: string,
  pems: { readonly ca: string; readonly certificate: string; readonly key: string },
): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'wishbone',
    clusters: [{ name: 'wishbone', cluster: { server, 'certificate-authority-data': base64(pems.ca) } }],
    users: [
      {
        name: user,
        user: { 'client-certificate-data': base64(pems.certificate), 'client-key-data': base64(pems.key) },
      },
    ],
    contexts: [{ name: 'wishbone', context: { cluster: 'wishbone', user } }],
  }
  return `${JSON.stringify(config, null, 2)}\n`
}
