// What a container runtime's CNI chain does for the mesh: asks the node agent, before a pod's first process, to take the pod in.
import { existsSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { delay } from '@wishbone/runtime/lifecycle'
import type { PodLink } from '../network/fabric.ts'
import { socketPath as short } from '../socket-path.ts'
import type { Pod } from '../types.ts'

const exemptNamespaces = ['kube-system', 'wishbone-system']
const waitForAgentMs = 10_000

interface Asked {
  readonly status: number
  readonly body: string
}

function ask(socketPath: string, body: string): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const message = request(
      {
        socketPath: short(socketPath),
        method: 'POST',
        path: '/cmdadd',
        headers: { 'content-type': 'application/json' },
        timeout: 30_000,
      },
      (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString('utf8')
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
        response.on('error', reject)
      },
    )
    message.on('timeout', () => message.destroy(new Error('the node agent gave no answer in 30 s')))
    message.on('error', reject)
    message.end(body)
  })
}

/** The namespaces in the mesh as the agent last wrote them beside its socket; undefined when there is no list. */
function enrolledNamespaces(folder: string): readonly string[] | undefined {
  const file = join(folder, 'enrolled-namespaces')
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : undefined
}

/**
 * Resolves when the pod may start. While the agent is away: system pods start at once; others wait for it, and then start only
 * if the last list says that their namespace is not in the mesh. Rejects with a message that names the agent.
 */
export async function askAgent(nodeFolder: string, pod: Pod, link: PodLink): Promise<void> {
  const folder = join(nodeFolder, 'run/wishbone-cni')
  const socketPath = join(folder, 'cni.sock')
  const namespace = pod.metadata.namespace ?? ''
  const exempt = exemptNamespaces.includes(namespace)
  const body = JSON.stringify({
    Netns: link.path,
    PodName: pod.metadata.name,
    PodNamespace: namespace,
    IPs: link.ips.map((ip) => ({ Address: ip })),
    PodUID: pod.metadata.uid,
  })
  const deadline = Date.now() + waitForAgentMs
  for (;;) {
    try {
      const { status, body: text } = await ask(socketPath, body)
      if (status === 200) return
      throw new Refusal(`the node agent refused the pod (${status}): ${text.slice(0, 500)}`)
    } catch (cause) {
      if (cause instanceof Refusal) throw cause
      if (exempt) return
      if (Date.now() > deadline) {
        const list = enrolledNamespaces(folder)
        if (list && !list.includes(namespace)) return
        throw new Error(
          `the node agent (wishbone-node in wishbone-system) does not answer on ${socketPath}: ${(cause as Error).message}`,
        )
      }
    }
    await delay(50)
  }
}

class Refusal extends Error {}
