// The page that a reader sees; it asks details and reviews for its parts and shows what it could not get.
import type { IncomingMessage } from 'node:http'
import { type Part, type Review, renderPage } from './page.ts'
import { call, json, podName, serve } from './service.ts'

const detailsUrl = process.env['DETAILS_URL'] ?? 'http://details:9080'
const reviewsUrl = process.env['REVIEWS_URL'] ?? 'http://reviews:9080'

function userOf(request: IncomingMessage): string | undefined {
  const header = request.headers['end-user']
  if (typeof header === 'string') return header
  const cookie = /(?:^|;\s*)user=([^;]*)/.exec(request.headers.cookie ?? '')?.[1]
  return cookie ? decodeURIComponent(cookie) : undefined
}

async function part<T>(url: string, request: IncomingMessage): Promise<Part<T>> {
  const started = Date.now()
  try {
    const answer = await call(url, request, 7_000)
    const ms = Date.now() - started
    if (answer.status !== 200) return { kind: 'missing', reason: `answered ${answer.status}`, ms }
    return { kind: 'present', value: JSON.parse(answer.body) as T, ms, headers: answer.headers }
  } catch (cause) {
    return { kind: 'missing', reason: cause instanceof Error ? cause.message : String(cause), ms: Date.now() - started }
  }
}

serve('productpage', async (request, response, url) => {
  const user = userOf(request)
  if (user) request.headers['end-user'] = user
  switch (url.pathname) {
    case '/':
      response.writeHead(302, { location: '/productpage' })
      response.end()
      return
    case '/login': {
      const name = url.searchParams.get('user') ?? ''
      response.writeHead(302, { location: '/productpage', 'set-cookie': `user=${encodeURIComponent(name)}; Path=/` })
      response.end()
      return
    }
    case '/logout':
      response.writeHead(302, { location: '/productpage', 'set-cookie': 'user=; Path=/; Max-Age=0' })
      response.end()
      return
    case '/productpage': {
      const [details, reviews] = await Promise.all([
        part<Record<string, string | number>>(`${detailsUrl}/details/0`, request),
        part<Review>(`${reviewsUrl}/reviews/0`, request),
      ])
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
      response.end(renderPage({ user, podName, details, reviews }))
      return
    }
    case '/api/v1/products':
      return json(response, 200, [{ id: 0, title: 'The Comedy of Errors' }])
    case '/api/v1/products/0': {
      const answer = await call(`${detailsUrl}/details/0`, request, 7_000)
      return json(response, answer.status, JSON.parse(answer.body))
    }
    case '/api/v1/products/0/reviews': {
      const reviews = await part<Review>(`${reviewsUrl}/reviews/0`, request)
      if (reviews.kind === 'missing') return json(response, 502, { error: `reviews ${reviews.reason}` })
      return json(response, 200, { ...reviews.value, answeredWith: reviews.headers })
    }
    default:
      return json(response, 404, { error: 'try /productpage' })
  }
})
