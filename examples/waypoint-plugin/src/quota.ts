// A filter of one's own: at most so many requests a minute for each client of a route. It is an ordinary fastify plugin;
// `request.wishbone` says who asks and which route matched.

/** What is used of fastify's instance and of Wishbone's context; `fastify` and `@wishbone/waypoint` have the full types. */
interface Instance {
  addHook(name: 'preHandler', hook: (request: Request, reply: Reply) => Promise<unknown>): void
}
interface Request {
  readonly wishbone: {
    readonly match: { readonly kind: 'match'; readonly rule: { readonly name: string } } | { readonly kind: 'no-match' }
    readonly connection: {
      readonly clientIp: string
      readonly peer: { readonly namespace: string; readonly serviceAccount: string } | undefined
    }
    readonly logFields: Record<string, string | number | boolean>
    onResponse(hook: (status: number, headers: string[]) => void): void
  }
}
interface Reply {
  code(status: number): Reply
  send(body: string): Reply
}

const perMinute = Number(process.env['QUOTA_PER_MINUTE'] ?? 600)

export default async function quota(app: Instance): Promise<void> {
  const counts = new Map<string, number>()
  setInterval(() => counts.clear(), 60_000).unref()
  app.addHook('preHandler', async (request, reply) => {
    const { match, connection, logFields } = request.wishbone
    if (match.kind === 'no-match') return undefined
    // In the mesh a client is its proven identity, at a gateway its address.
    const { peer } = connection
    const client = peer === undefined ? connection.clientIp : `${peer.namespace}/${peer.serviceAccount}`
    const key = `${client} ${match.rule.name}`
    const used = (counts.get(key) ?? 0) + 1
    counts.set(key, used)
    if (used > perMinute) {
      logFields['quota'] = 'exceeded'
      return reply.code(429).send('quota exceeded\n')
    }
    request.wishbone.onResponse((_status, headers) => headers.push('x-quota-left', String(perMinute - used)))
    return undefined
  })
}
