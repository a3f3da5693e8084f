// Scene 11: a Gateway of class wishbone opens the application to this machine's browser.
import { until } from '@wishbone/testing/cluster'
import { manifest } from '../manifest.ts'
import type { Scene } from '../scene.ts'

export const gateway: Scene = {
  number: 11,
  title: 'An ingress Gateway opens productpage',
  async play({ cluster, doing, check, gatewayUrl }) {
    doing('kubectl apply -f 11-gateway.yaml')
    await cluster.apply(manifest('11-gateway'))
    const programmed = await until('the Gateway is programmed', async () => {
      const { status } = (await cluster.get('gateways', 'bookinfo', 'bookinfo')) as {
        status?: { conditions?: { type: string; status: string }[]; addresses?: { value: string }[] }
      }
      const holds = status?.conditions?.some((entry) => entry.type === 'Programmed' && entry.status === 'True')
      return holds ? status?.addresses?.[0]?.value : undefined
    })
    const url = `${await gatewayUrl('bookinfo', 'bookinfo', 80)}/productpage`
    const page = await until('the page', async () => {
      const response = await fetch(url, { signal: AbortSignal.timeout(10_000) })
      return response.status === 200 ? response.text() : undefined
    })
    const whole = page.includes('The Comedy of Errors') && page.includes('Reviewer1') && page.includes('Wishbone Press')
    check(
      `${url} shows the book, its details and its reviews`,
      whole,
      `${page.length} bytes from Gateway address ${programmed}`,
    )
    const nowhere = await fetch(url.replace('/productpage', '/nowhere'))
    check('a path that no route names is 404', nowhere.status === 404, nowhere.status)
  },
}
