// Certificates of authorities in ConfigMaps, as listeners and BackendTLSPolicies refer to them (key "ca.crt").
import { X509Certificate } from 'node:crypto'
import { mayRefer } from '../grants.ts'
import { gatewayGroup } from '../names.ts'
import type { World } from '../world.ts'

export interface CaReference {
  readonly group: string
  readonly kind: string
  readonly name: string
  readonly namespace?: string
}

export interface CaCertificates {
  /** Of every reference that could be resolved; "" when none could. */
  readonly pem: string
  readonly problems: readonly CaProblem[]
}

export interface CaProblem {
  readonly kind: 'reference' | 'kind' | 'not-permitted'
  readonly message: string
}

/** `from`: the object that refers, of the Gateway API's group. */
export function resolveCaCertificates(
  world: World,
  from: { readonly kind: string; readonly namespace: string },
  refs: readonly CaReference[],
): CaCertificates {
  const problems: CaProblem[] = []
  let pem = ''
  for (const ref of refs) {
    const namespace = ref.namespace ?? from.namespace
    const what = `${ref.kind} ${namespace}/${ref.name}`
    if (ref.group !== '' || ref.kind !== 'ConfigMap') {
      problems.push({ kind: 'kind', message: `${what}: only ConfigMaps of the core group hold CA certificates here` })
      continue
    }
    const to = { group: '', kind: 'ConfigMap', namespace, name: ref.name }
    if (!mayRefer(world, { group: gatewayGroup, ...from }, to)) {
      const hint = `create a ReferenceGrant in ${namespace} from ${from.kind}s of ${from.namespace} to ConfigMaps`
      problems.push({ kind: 'not-permitted', message: `${what} is in another namespace; ${hint}` })
      continue
    }
    const found = world.configMaps.get(`${namespace}/${ref.name}`)
    const text = found?.data?.['ca.crt']
    const problem = !found ? 'does not exist' : pemProblem(text)
    if (problem === undefined) pem += `${text!.trimEnd()}\n`
    else problems.push({ kind: 'reference', message: `${what} ${problem}` })
  }
  return { pem, problems }
}

const [begin, end] = ['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----']

/** Without a regular expression, which looks for the end anew behind each beginning: sixteen seconds for a ConfigMap full of them. */
export function certificatesIn(text: string): readonly string[] {
  const blocks: string[] = []
  for (let at = text.indexOf(begin); at !== -1; at = text.indexOf(begin, at)) {
    const last = text.indexOf(end, at + begin.length)
    if (last === -1) break
    blocks.push(text.slice(at, last + end.length))
    at = last + end.length
  }
  return blocks
}

/** Whether one begins that does not end. */
export function isCutOff(text: string): boolean {
  return text.lastIndexOf(begin) > text.lastIndexOf(end)
}

function pemProblem(text: string | undefined): string | undefined {
  if (!text) return 'has no ca.crt'
  const blocks = certificatesIn(text)
  try {
    for (const block of blocks) new X509Certificate(block)
  } catch {
    return 'has a ca.crt with a certificate that can not be read'
  }
  return blocks.length === 0 ? 'has a ca.crt without a PEM certificate' : undefined
}
