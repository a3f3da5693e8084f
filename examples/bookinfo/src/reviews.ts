// Reviews of the book. v1 shows no stars, v2 black and v3 red ones, which it asks the ratings service for.
import { call, json, podName, serve } from './service.ts'

const version = process.env['SERVICE_VERSION'] ?? 'v1'
const color = version === 'v1' ? undefined : version === 'v2' ? 'black' : 'red'
const ratingsUrl = process.env['RATINGS_URL'] ?? 'http://ratings:9080'

const texts = [
  {
    reviewer: 'Reviewer1',
    text: 'An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!',
  },
  {
    reviewer: 'Reviewer2',
    text: 'Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by Shakespeare.',
  },
]

async function stars(id: string, request: Parameters<typeof call>[1]): Promise<Record<string, number> | undefined> {
  try {
    const answer = await call(`${ratingsUrl}/ratings/${id}`, request, 10_000)
    if (answer.status !== 200) return undefined
    return (JSON.parse(answer.body) as { ratings: Record<string, number> }).ratings
  } catch {
    return undefined
  }
}

serve('reviews', async (request, response, url) => {
  const id = /^\/reviews\/(\d+)$/.exec(url.pathname)?.[1]
  if (id === undefined) return json(response, 404, { error: 'try /reviews/0' })
  const ratings = color ? await stars(id, request) : undefined
  json(response, 200, {
    id,
    version,
    podname: podName,
    // What the mesh did to the request, so that a page or a test can show it.
    received: request.headers,
    reviews: texts.map((entry) => {
      if (!color) return entry
      const count = ratings?.[entry.reviewer]
      return {
        ...entry,
        rating: count === undefined ? { error: 'Ratings service is currently unavailable' } : { stars: count, color },
      }
    }),
  })
})
