// HTTP to a port inside a pod, through the API server's port-forward: reaches what listens on the pod's localhost, and
// needs no program in the pod's image.
import { request } from 'node:http'
import { duplexPair } from 'node:stream'
import { text } from 'node:stream/consumers'
import { forwardConnection, type KubeClient } from '@wishbone/cli'

/** The body of a GET; rejects unless it is answered 200 within 15 s. */
export function fetchFromPod(
  client: KubeClient,
  namespace: string,
  pod: string,
  port: number,
  path: string,
): Promise<string> {
  const what = `${path} on port ${port} of ${namespace}/${pod}`
  const [near, far] = duplexPair()
  return new Promise((resolve, reject) => {
    forwardConnection(client, namespace, pod, port, far).catch((cause: Error) => {
      near.destroy()
      reject(new Error(`${what}: ${cause.message}`, { cause }))
    })
    const message = request({
      path,
      headers: { host: `localhost:${port}`, connection: 'close' },
      createConnection: () => near,
    })
    const timer = setTimeout(() => message.destroy(new Error('no answer in 15 s')), 15_000)
    message.on('error', (cause) => reject(new Error(`${what}: ${cause.message}`, { cause })))
    message.on('response', (response) => {
      text(response).then(
        (body) =>
          response.statusCode === 200 ? resolve(body) : reject(new Error(`${what}: ${response.statusCode} ${body}`)),
        reject,
      )
    })
    message.on('close', () => {
      clearTimeout(timer)
      near.end()
    })
    message.end()
  })
}
