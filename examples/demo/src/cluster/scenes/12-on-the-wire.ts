// Scene 12: what travels between two nodes is TLS 1.3 between the two pods' certificates, from the first byte to the last.
import { onePod } from '../../cast.ts'
import type { Scene } from '../../scene.ts'
import { openShop } from '../shop.ts'

/** Speaks TLS to a pod's HBONE port without a certificate; prints whom it met and how it ended. */
function strangerScript(ip: string): string {
  return `const tls = require('node:tls'), seen = { data: 0 }
const socket = tls.connect({ host: '${ip}', port: 15008, ALPNProtocols: ['h2'], rejectUnauthorized: false }, () => {
  seen.name = socket.getPeerCertificate().subjectaltname; seen.protocol = socket.getProtocol() })
socket.on('data', (data) => { seen.data += data.length })
socket.on('error', (error) => { seen.error = error.code ?? error.message })
socket.on('close', () => console.log(JSON.stringify(seen)))
setTimeout(() => socket.destroy(), 5000).unref()`
}

export const onTheWire: Scene = {
  number: 12,
  title: 'mTLS between the nodes, proven on the wire',
  async play({ cluster, doing, check }) {
    await using shop = await openShop(cluster, 'e2e-wire')
    const { client, server } = shop
    const ip = server.status?.podIP ?? ''
    const secret = 'a-secret-of-this-scene'
    doing(`listening on the link of ${client.spec.nodeName} while a client there calls ${ip} for the first time`)
    const seen = await cluster.wiretap(client.spec.nodeName ?? '', {
      find: [secret, 'x-served-by', 'speaks first'],
      host: ip,
      tlsPort: 15_008,
      during: async () => {
        const http = await cluster.toolbox(client, 'http', `http://${ip}:8080/${secret}`)
        check('HTTP is answered', http.status === 200, http.status ?? http.error)
        const first = await cluster.toolbox(client, 'tcp-first', ip, '9001')
        check('so is a TCP server that speaks first', first.heard !== undefined, first.heard ?? first.error)
      },
    })
    check(
      'nothing of either is readable on the link',
      seen.packets > 0 && Object.values(seen.found).every((count) => count === 0),
      seen.found,
    )
    check(
      'nothing goes to another port of the pod than 15008',
      Object.keys(seen.tcpPorts).join() === '15008',
      seen.tcpPorts,
    )
    const { connections, clientHellos, serverHellos, tls13, notTls } = seen.tls
    check(
      'every connection is TLS 1.3 from its first byte on, in whole records',
      connections > 0 &&
        clientHellos === connections &&
        serverHellos === connections &&
        tls13 === connections &&
        notTls === 0,
      seen.tls,
    )

    const stranger = await onePod(cluster, 'outside', 'app=client')
    doing('a pod outside the mesh speaks TLS to port 15008, without a certificate')
    const met = JSON.parse((await cluster.run(stranger, ['node', '-e', strangerScript(ip)])).stdout) as {
      readonly name?: string
      readonly protocol?: string
      readonly error?: string
    }
    check(
      "the pod shows its own workload's certificate",
      met.name === `URI:spiffe://cluster.local/ns/${shop.namespace}/sa/server`,
      `${met.name}, ${met.protocol}`,
    )
    check('and refuses a peer that has none', /CERTIFICATE_REQUIRED/i.test(met.error ?? ''), met.error ?? 'no error')
  },
}
