// Pairs of TLS connections and sessions on loopback for the tests of this folder.
import net from 'node:net'
import type tls from 'node:tls'
import { WorkloadCertificate } from '../certificates/certificate.ts'
import { createCsr } from '../certificates/csr.ts'
import { issueLeaf, type Signer, selfSignedRoot } from '../certificates/issue.ts'
import { acceptTls } from '../tls/accept.ts'
import { connectTls } from '../tls/connect.ts'
import { type ClientSessionOptions, connectHbone, type HboneClientSession } from './client.ts'
import { acceptHbone } from './server.ts'
import type { AcceptHboneOptions, HboneServerSession } from './types.ts'

export const root: Signer = selfSignedRoot({ organization: 'cluster.local', ttlSeconds: 86_400 })
export const clientId = 'spiffe://cluster.local/ns/shop/sa/client'
export const serverId = 'spiffe://cluster.local/ns/shop/sa/server'

export async function certificateFor(
  identity: string,
  signer: Signer = root,
  ttlSeconds = 3600,
): Promise<WorkloadCertificate> {
  const { csrPem, key } = await createCsr(identity)
  const chainPem = issueLeaf({ csrPem, uriSans: [identity], ttlSeconds, signer }).pem
  return new WorkloadCertificate({ identity, chainPem, rootsPem: signer.certPem, key })
}

/** Two ends of one TCP connection. */
export async function tcpPair(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as net.AddressInfo
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve))
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  await new Promise((resolve) => client.once('connect', resolve))
  const pair: [net.Socket, net.Socket] = [client, await accepted]
  server.close()
  return pair
}

const certificates = { client: certificateFor(clientId), server: certificateFor(serverId) }

/** Both ends after the handshake: client, server. */
export async function tlsPair(): Promise<[tls.TLSSocket, tls.TLSSocket]> {
  const [a, b] = await tcpPair()
  return Promise.all([
    connectTls(a, { certificate: await certificates.client, expectedIdentities: [serverId] }),
    acceptTls(b, { certificate: await certificates.server, trustDomain: 'cluster.local' }),
  ])
}

export async function sessionPair(
  server: AcceptHboneOptions,
  client: ClientSessionOptions = {},
): Promise<{ client: HboneClientSession; server: HboneServerSession; sockets: [tls.TLSSocket, tls.TLSSocket] }> {
  const sockets = await tlsPair()
  return { server: acceptHbone(sockets[1], server), client: connectHbone(sockets[0], client), sockets }
}
