// Scene 9: certificates rotate without a broken connection.

import { type Cluster, isReady, until } from '@wishbone/testing/cluster'
import { onePod } from '../cast.ts'
import { bookinfoEnrolled } from '../given.ts'
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
  const found: string[] = []
  for (const pod of (await cluster.pods('wishbone-system', 'app=ztunnel')).filter(isReady)) {
    const dump = JSON.parse(await cluster.fetch(pod, 15_000, '/config_dump')) as Dump
    const own = dump.certificates?.find((certificate) => certificate.identity === identity)
    found.push(own?.certChain?.[0]?.serialNumber ?? 'none')
  }
  return found.join(' ')
}

export const certificates: Scene = {
  number: 9,
  title: 'A certificate rotates without a broken connection',
  async play(stage) {
    const { cluster, doing, check } = stage
    await bookinfoEnrolled(stage)
    await using _short = await stage.shortCertificates()
    const client = await onePod(cluster, 'bookinfo', 'app=client')
    const before = await until('a certificate of the client in every ztunnel', async () => {
      const now = await serials(cluster)
      return now.includes('none') ? undefined : now
    })
    doing(`a TCP stream and keep-alive requests while the certificates (of less than a minute here) are renewed`)
    const load = cluster.load(client, 'toolbox', 30, 20)
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
