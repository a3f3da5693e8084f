// Facts about the book.
import { json, serve } from './service.ts'

serve('details', (_request, response, url) => {
  const id = /^\/details\/(\d+)$/.exec(url.pathname)?.[1]
  if (id === undefined) return json(response, 404, { error: 'try /details/0' })
  json(response, 200, {
    id: Number(id),
    title: 'The Comedy of Errors',
    author: 'William Shakespeare',
    year: 1595,
    type: 'paperback',
    pages: 200,
    publisher: 'Wishbone Press',
    language: 'English',
    'ISBN-10': '1234567890',
  })
})
