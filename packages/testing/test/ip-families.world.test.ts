// The mesh on IPv4 with IPv6 off in the pods, on both families, and on IPv6 alone.
import { describe, expect, test } from 'vitest'
import { accessLogLine, castOf, enrolled, readyPods, startWorld, type WorldOptions } from '../src/world/index.ts'

const families: readonly (WorldOptions & { readonly title: string })[] = [
  { title: 'IPv4, with IPv6 off in the pods', ipFamilies: 'ipv4', ipv6InPods: false },
  { title: 'both families', ipFamilies: 'dual' },
  { title: 'IPv6 only', ipFamilies: 'ipv6' },
]

describe.each(families)('a world with $title', (options) => {
  test('carries HTTP, server-first TCP and gRPC between nodes as HBONE', async () => {
    await using world = await startWorld({ ...options, objects: castOf() })
    const { cluster } = world
    await enrolled(cluster, 'shop')
    await readyPods(cluster, 'shop', 'app=server', 2)
    for (const client of await readyPods(cluster, 'shop', 'app=client', 2)) {
      for (let index = 0; index < 4; index++) {
        expect(await cluster.toolbox(client, 'http', 'http://server:8080/')).toMatchObject({ status: 200 })
      }
      const first = await cluster.toolbox(client, 'tcp-first', 'server', '9001')
      expect(JSON.stringify(first.heard)).toContain('speaks first')
      expect(await cluster.toolbox(client, 'grpc', 'server:9002')).toMatchObject({ counted: 1000, chatted: 5 })
    }
    const line = await accessLogLine(
      cluster,
      (text) => text.includes('connection complete') && text.includes('sa/server') && text.includes('sa/client'),
    )
    expect(line).toContain('15008')
    if (options.ipFamilies === 'ipv6') expect(line).toContain('[fd00:')
  })
})
