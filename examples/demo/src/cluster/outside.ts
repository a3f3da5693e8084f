// An HTTP server that is no part of the cluster: this process, on the address with which it talks to the API server and
// which pods reach, therefore, wherever nodes and this machine share a network.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'

export interface Outside extends AsyncDisposable {
  readonly url: string
}

/** The address of this machine from which the API server is reached. */
async function ownAddress(server: string): Promise<string> {
  const { hostname, port, protocol } = new URL(server)
  const socket = connect({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
  })
  try {
    await once(socket, 'connect')
    return socket.localAddress ?? '127.0.0.1'
  } finally {
    socket.destroy()
  }
}

/** `given`: a server that is there already. */
export async function startOutside(apiServer: string, given: string | undefined): Promise<Outside> {
  if (given) return { url: given, [Symbol.asyncDispose]: async () => {} }
  const address = await ownAddress(apiServer)
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json', 'x-served-by': 'outside' })
    response.end(JSON.stringify({ outside: true, path: request.url, remote: request.socket.remoteAddress }))
  })
  server.listen(0, address)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}
