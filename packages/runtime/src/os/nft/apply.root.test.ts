// Rulesets in a real kernel: what the rules of ambient wire §3.5 do to packets, and how mistakes are named.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  addAddress,
  addElements,
  addFwmarkRule,
  addLocalRoute,
  addRoute,
  applyRules,
  boundAddress,
  closeFd,
  connectIn,
  createVeth,
  deleteElements,
  deleteFwmarkRule,
  deleteLocalRoute,
  deleteTable,
  hasTable,
  listenIn,
  type NftRule,
  newNamespace,
  originalDestination,
  setUp,
  withNamespace,
} from '../index.ts'

let a: number
let b: number

beforeEach(() => {
  a = newNamespace()
  b = newNamespace()
  createVeth({ nameA: 'eth0', nsA: a, nameB: 'eth0', nsB: b, macA: '02:00:00:00:00:0a' })
  for (const [ns, host] of [
    [a, 1],
    [b, 2],
  ] as const) {
    for (const link of ['lo', 'eth0']) setUp(ns, link)
    addAddress(ns, 'eth0', `10.9.0.${host}/24`)
    addAddress(ns, 'eth0', `fd09::${host}/64`)
  }
})

afterEach(() => {
  closeFd(a)
  closeFd(b)
})

/** `nft list ruleset` where the program is installed: a second opinion about the encoding. */
function listed(ns: number): string | undefined {
  try {
    return withNamespace(ns, () => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cause
  }
}

async function serve(ns: number, ip: string, port: number, word: string) {
  const fd = listenIn(ns, { ip, port, transparent: true })
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    const original = originalDestination(socket)
    socket.end(`${word} ${original?.ip} ${original?.port} from ${socket.remoteAddress?.replace('::ffff:', '')}`)
  })
  server.listen({ fd })
  await once(server, 'listening')
  return { port: boundAddress(fd)?.port ?? 0, [Symbol.dispose]: () => void server.close() }
}

async function ask(ns: number, ip: string, port: number, mark?: number): Promise<string> {
  const socket = await connectIn(ns, { ip, port, timeoutMs: 1000, mark })
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  socket.destroy()
  return text
}

const notOurs = { kind: 'mark', value: 0x539, mask: 0xfff, negate: true } as const
const tcp = { kind: 'l4proto', value: 'tcp' } as const
const redirect = (rules: readonly NftRule[]) =>
  ({
    family: 'inet',
    table: 'nat',
    chains: [{ name: 'prerouting', hook: 'prerouting', type: 'nat', priority: -100, rules }],
  }) as const

describe('applyRules', () => {
  test.each(['10.9.0.2', 'fd09::2'])('redirects to a port, and the original destination %s is known', async (ip) => {
    applyRules(b, redirect([{ match: [tcp, notOurs], action: { kind: 'redirect', port: 15006 } }]))
    using _server = await serve(b, '::', 15006, 'captured')
    expect(await ask(a, ip, 8080)).toMatch(new RegExp(`^captured ${ip} 8080 from`))
  })

  test('exempts what an earlier rule accepts: by source, port list, port range and set', async () => {
    const exempt: NftRule[] = [
      { match: [{ kind: 'destinationPort', value: [81, { from: 90, to: 95 }, 85] }], action: { kind: 'accept' } },
      {
        match: [
          { kind: 'nfproto', value: 'ipv4' },
          { kind: 'inSet', set: 'probes', fields: ['sourceIp', 'destinationPort'] },
        ],
        action: { kind: 'accept' },
      },
      { match: [], action: { kind: 'redirect', port: 15006 } },
    ]
    const rules = exempt.map((rule) => ({ ...rule, match: [tcp, ...rule.match] }))
    const probes = { name: 'probes', key: ['ipv4', 'port'] } as const
    applyRules(b, {
      ...redirect(rules),
      sets: [{ ...probes, elements: [{ key: ['10.9.0.1', 8080], comment: 'pod' }] }],
    })
    using _captured = await serve(b, '0.0.0.0', 15006, 'captured')
    for (const port of [81, 85, 93, 8080]) {
      using _direct = await serve(b, '0.0.0.0', port, 'direct')
      expect(await ask(a, '10.9.0.2', port)).toMatch(/^direct/)
    }
    expect(await ask(a, '10.9.0.2', 84)).toMatch(/^captured/)
    expect(await ask(a, '10.9.0.2', 8081)).toMatch(/^captured/)

    const where = { family: 'inet', table: 'nat', set: probes } as const
    using _direct = await serve(b, '0.0.0.0', 8081, 'direct')
    addElements(b, where, [{ key: ['10.9.0.1', 8081] }])
    addElements(b, where, [{ key: ['10.9.0.1', 8081] }])
    expect(await ask(a, '10.9.0.2', 8081)).toMatch(/^direct/)
    deleteElements(b, where, [{ key: ['10.9.0.1', 8081] }, { key: ['10.9.0.9', 1] }])
    expect(await ask(a, '10.9.0.2', 8081)).toMatch(/^captured/)
  })

  test('the marked packets of the proxy itself pass the output chain', async () => {
    applyRules(a, {
      family: 'inet',
      table: 'nat',
      chains: [
        {
          name: 'output',
          hook: 'output',
          type: 'nat',
          priority: -100,
          rules: [{ match: [tcp, notOurs], action: { kind: 'redirect', port: 15001 } }],
        },
      ],
    })
    using _outbound = await serve(a, '0.0.0.0', 15001, 'captured')
    using _server = await serve(b, '0.0.0.0', 80, 'direct')
    expect(await ask(a, '10.9.0.2', 80)).toMatch(/^captured 10.9.0.2 80/)
    expect(await ask(a, '10.9.0.2', 80, 0x539)).toMatch(/^direct/)
  })

  test.each([
    ['10.96.0.1', '10.9.0.2', '10.96.0.0/16'],
    ['fd96::1', 'fd09::2', 'fd96::/64'],
  ])('a service address %s goes to its endpoints by chance, hairpins masqueraded', async (vip, endpoint, cidr) => {
    const rule = (port: number, mod: number): NftRule => ({
      match: [
        tcp,
        { kind: 'destinationIp', value: vip },
        { kind: 'destinationPort', value: 80 },
        { kind: 'numgen', mod, value: 0 },
      ],
      action: { kind: 'dnat', ip: endpoint, port },
    })
    applyRules(a, {
      family: 'inet',
      table: 'services',
      chains: [
        {
          name: 'output',
          hook: 'output',
          type: 'nat',
          priority: -100,
          rules: [{ match: [], action: { kind: 'jump', chain: 'vip' } }],
        },
        { name: 'vip', rules: [rule(8001, 2), rule(8002, 1)] },
        {
          name: 'post',
          hook: 'postrouting',
          type: 'nat',
          priority: 100,
          rules: [
            {
              match: [{ kind: 'ctStatusDnat' }, { kind: 'destinationIp', value: cidr, negate: true }],
              action: { kind: 'masquerade' },
            },
          ],
        },
      ],
    })
    addRoute(a, { dst: cidr, dev: 'eth0' })
    using _first = await serve(b, endpoint, 8001, 'first')
    using _second = await serve(b, endpoint, 8002, 'second')
    const words = new Set<string | undefined>()
    for (let i = 0; i < 40; i++) words.add((await ask(a, vip, 80)).split(' ')[0])
    expect(words).toEqual(new Set(['first', 'second']))
  })

  test('replaces the whole table, and takes it away', () => {
    applyRules(a, redirect([{ match: [tcp], action: { kind: 'drop' }, comment: 'old' }]))
    applyRules(a, redirect([{ match: [tcp], action: { kind: 'accept' }, comment: 'new' }]))
    expect(hasTable(a, 'inet', 'nat')).toBe(true)
    const text = listed(a)
    if (text !== undefined) expect(text).toMatch(/accept comment "new"/)
    if (text !== undefined) expect(text).not.toMatch(/old/)
    deleteTable(a, 'inet', 'nat')
    deleteTable(a, 'inet', 'nat')
    expect(hasTable(a, 'inet', 'nat')).toBe(false)
  })

  test('is all or nothing, and names the rule that the kernel refuses', () => {
    applyRules(a, redirect([{ match: [tcp], action: { kind: 'accept' }, comment: 'kept' }]))
    const wrong = redirect([
      { match: [tcp], action: { kind: 'accept' } },
      { match: [tcp], action: { kind: 'jump', chain: 'nowhere' }, comment: 'lost' },
    ])
    expect(() => applyRules(a, wrong)).toThrow(
      /nftables rule 2 \("lost"\) of chain prerouting in table inet nat.*ENOENT/,
    )
    const text = listed(a)
    if (text !== undefined) expect(text).toMatch(/kept/)
  })

  test('takes a thousand rules and more elements than fit one message', () => {
    const rules = Array.from({ length: 1000 }, (_, i) => ({
      match: [tcp, { kind: 'destinationIp', value: `10.96.${i >> 8}.${i & 255}` } as const],
      action: { kind: 'accept' } as const,
    }))
    const elements = Array.from({ length: 3000 }, (_, i) => ({ key: [`10.1.${i >> 8}.${i & 255}`] }))
    applyRules(a, { ...redirect(rules), sets: [{ name: 'many', key: ['ipv4'], elements }] })
    expect(hasTable(a, 'inet', 'nat')).toBe(true)
  })
})

describe("the pod's rules (ambient wire §3.5)", () => {
  test.each([
    ['10.9.0.1', '10.9.0.2'],
    ['fd09::1', 'fd09::2'],
  ])('replies to a connection that the proxy made in the name of %s come back to the proxy', async (client, pod) => {
    applyRules(b, {
      family: 'inet',
      table: 'mangle',
      chains: [
        {
          name: 'prerouting',
          hook: 'prerouting',
          priority: -150,
          rules: [
            {
              match: [{ kind: 'mark', value: 0x539, mask: 0xfff }],
              action: { kind: 'setCtMark', value: 0x111, mask: 0xfff },
            },
          ],
        },
        {
          name: 'output',
          hook: 'output',
          type: 'route',
          priority: -150,
          rules: [{ match: [{ kind: 'ctMark', value: 0x111, mask: 0xfff }], action: { kind: 'restoreMarkFromCt' } }],
        },
      ],
    })
    const family = pod.includes(':') ? 6 : 4
    const rule = { family, mark: 0x111, mask: 0xfff, table: 100, priority: 32764 } as const
    for (let i = 0; i < 2; i++) {
      addFwmarkRule(b, rule)
      addLocalRoute(b, { family, table: 100 })
    }
    using app = await serve(b, pod, 0, 'app')
    const socket = await connectIn(b, { ip: pod, port: app.port, sourceIp: client, mark: 0x539, timeoutMs: 1000 })
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    expect(text).toMatch(new RegExp(`from ${client}$`))
    socket.destroy()
    for (let i = 0; i < 2; i++) {
      deleteFwmarkRule(b, rule)
      deleteLocalRoute(b, { family, table: 100 })
    }
  })

  test('every kind of match and action is accepted by the kernel and reads back as it was meant', () => {
    const filter: NftRule[] = [
      { match: [{ kind: 'sourceIp', value: '169.254.7.127' }, tcp], action: { kind: 'accept' } },
      { match: [{ kind: 'destinationIp', value: '127.0.0.0/8', negate: true }], action: { kind: 'return' } },
      {
        match: [{ kind: 'sourceIp', value: ['10.0.0.0/8', '192.168.1.1'], negate: true }],
        action: { kind: 'counter' },
      },
      { match: [{ kind: 'sourceIp', value: ['fd00::/8', 'fe80::1'] }], action: { kind: 'drop' } },
      { match: [{ kind: 'inInterface', value: 'eth0', negate: true }], action: { kind: 'accept' } },
      { match: [{ kind: 'outInterface', value: 'veth*' }], action: { kind: 'accept' } },
      { match: [{ kind: 'ctState', value: ['established', 'related'] }], action: { kind: 'accept' } },
      { match: [{ kind: 'destinationLocal' }], action: [{ kind: 'counter' }, { kind: 'accept' }] },
      { match: [{ kind: 'skuid', value: 1000 }], action: { kind: 'setMark', value: 0x539, mask: 0xfff } },
      { match: [tcp], action: { kind: 'reject' } },
      {
        match: [
          { kind: 'l4proto', value: 'udp' },
          { kind: 'sourcePort', value: 53, negate: true },
        ],
        action: { kind: 'reject' },
      },
    ]
    applyRules(a, {
      family: 'inet',
      table: 'all',
      chains: [
        { name: 'out', hook: 'output', type: 'filter', priority: 0, rules: filter },
        {
          name: 'raw',
          hook: 'output',
          priority: -300,
          rules: [
            {
              match: [
                { kind: 'l4proto', value: 'udp' },
                { kind: 'destinationPort', value: 53 },
              ],
              action: { kind: 'ctZone', zone: 1 },
            },
            { match: [tcp], action: { kind: 'ctZone', zone: 2, direction: 'original' } },
          ],
        },
        {
          name: 'post',
          hook: 'postrouting',
          type: 'nat',
          priority: 100,
          rules: [
            {
              match: [
                { kind: 'skuid', value: 0 },
                { kind: 'destinationIp', value: '10.9.0.2' },
              ],
              action: { kind: 'snat', ip: '169.254.7.127' },
            },
            { match: [tcp], action: { kind: 'snat', ip: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff' } },
          ],
        },
      ],
    })
    const text = listed(a)
    if (text === undefined) return
    for (const line of [
      'ip saddr 169.254.7.127 meta l4proto tcp accept',
      'ip daddr != 127.0.0.0/8 return',
      'ip saddr != { 10.0.0.0/8, 192.168.1.1 } counter',
      'ip6 saddr { fd00::/8, fe80::1 } drop',
      'iifname != "eth0" accept',
      'oifname "veth*" accept',
      'ct state established,related accept',
      'fib daddr type local counter packets 0 bytes 0 accept',
      'meta skuid 1000 meta mark set',
      'meta l4proto tcp reject with tcp reset',
      'udp sport != 53 reject',
      'udp dport 53 ct zone set 1',
      'meta l4proto tcp ct original zone set 2',
      'meta skuid 0 ip daddr 10.9.0.2 snat ip to 169.254.7.127',
      'snat ip6 to fd16:9254:7127:1337:ffff:ffff:ffff:ffff',
    ]) {
      expect(text).toContain(line)
    }
  })

  test.each<[string, NftRule, RegExp]>([
    [
      'a port without a protocol',
      { match: [{ kind: 'destinationPort', value: 80 }], action: { kind: 'drop' } },
      /rule 1 of chain .*l4proto/,
    ],
    [
      'two families',
      {
        match: [
          { kind: 'sourceIp', value: '::1' },
          { kind: 'destinationIp', value: '1.1.1.1' },
        ],
        action: { kind: 'drop' },
      },
      /IPv6 and cannot speak of IPv4/,
    ],
    [
      'no address',
      { match: [{ kind: 'sourceIp', value: '10.0.0.300' }], action: { kind: 'drop' } },
      /"10.0.0.300" is not an IP address/,
    ],
  ])('%s is refused before the kernel sees it', (_name, rule, message) => {
    expect(() => applyRules(a, redirect([rule]))).toThrow(message)
  })
})
