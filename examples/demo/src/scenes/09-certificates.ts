// Scene 9: certificates rotate without a broken connection.

import { type Cluster, until } from '@wishbone/testing/cluster'
import { onePod } from '../cast.ts'
import type { Scene } from '../scene.ts'

interface Dump {
  readonly certificates?: readonly {
    readonly identity: string
    readonly certChain?: readonly { readonly serialNumber?: string }[]
  }[]
}

const identity = 'spiffe://cluster.local/ns/bookinfo/sa/client'

/** The serial of the client's certificate in every ztunnel that has one. */
async function serials(cluster: Cluster): Promise<string> {
  const script = `fetch('http://127.0.0.1:15000/config_dump').then(async (r) => console.log(await r.text()))`
  const found: string[] = []
  for (const pod of await cluster.pods('wishbone-system', 'app=ztunnel')) {
    const dump = JSON.parse((await cluster.run(pod, ['node', '-e', script])).stdout) as Dump
    const own = dump.certificates?.find((certificate) => certificate.identity === identity)
    found.push(own?.certChain?.[0]?.serialNumber ?? 'none')
  }
  return found.join(' ')
}

export const certificates: Scene = {
  number: 9,
  title: 'A certificate rotates without a broken connection',
  async play({ cluster, doing, check }) {
    const client = await onePod(cluster, 'bookinfo', 'app=client')
    const before = await serials(cluster)
    doing(`a TCP stream and keep-alive requests while the certificates (short-lived in this demo) are renewed`)
    const load = cluster.load(client, 'toolbox', 20, 20)
    load.catch(() => {})
    const after = await until(
      'new certificates',
      async () => {
        const now = await serials(cluster)
        return now.split(' ').every((serial, index) => serial !== before.split(' ')[index]) ? now : undefined
      },
      45_000,
    )
    check('every ztunnel has a new certificate for the client', after !== before, `${before} -> ${after}`)
    const result = await load
    check('no connection broke', result.failed === 0, result.counts['tcpEcho'])
  },
}
