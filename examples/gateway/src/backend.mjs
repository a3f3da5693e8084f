// A tiny backend: node src/backend.mjs NAME PORT [NAME PORT …]. Each says who it is and what it was asked; /slow takes its time.
import { createServer } from 'node:http'

const words = process.argv.slice(2)
for (let index = 0; index < words.length; index += 2) {
  const [name, port] = words.slice(index)
  createServer((request, response) => {
    request.resume()
    const answer = `${JSON.stringify({ backend: name, host: request.headers.host, path: request.url })}\n`
    setTimeout(() => response.end(answer), request.url === '/slow' ? 3_000 : 0)
  }).listen(Number(port), '127.0.0.1')
}
