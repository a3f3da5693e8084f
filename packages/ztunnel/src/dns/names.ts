// Which service a DNS name means to a client (ambient wire §4.8). Pure: names in, names out.
import { resolveService, type Service } from '@wishbone/core/mesh'

export interface NameContext {
  readonly clientNamespace: string
  readonly clusterDomain: string
  servicesByHostname(hostname: string): readonly Service[]
}

export interface NamedService {
  readonly service: Service
  /** The name without the search domain; undefined when the service answers under the name that was asked. */
  readonly canonicalName: string | undefined
}

/** Finds the service of `name` (any case, with or without a final dot); undefined: it is nobody's in the mesh. */
export function findService(name: string, context: NameContext): NamedService | undefined {
  const asked = name.toLowerCase().replace(/\.$/, '')
  for (const { text, stripped } of candidates(asked, context)) {
    for (const hostname of expansions(text, context)) {
      const service = lookUp(hostname, context)
      if (service !== undefined) return { service, canonicalName: stripped ? text : undefined }
    }
  }
  return undefined
}

/** The name itself, then what is left of it without each search domain that a resolver may have added. */
function candidates(
  asked: string,
  { clientNamespace, clusterDomain }: NameContext,
): readonly { text: string; stripped: boolean }[] {
  const result = [{ text: asked, stripped: false }]
  for (const domain of [`${clientNamespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain]) {
    if (!asked.endsWith(`.${domain}`)) continue
    const text = asked.slice(0, -domain.length - 1)
    if (text !== '') result.push({ text, stripped: true })
  }
  return result
}

/** Hostnames that a name may stand for: itself, Kubernetes' short forms, and wildcards above it. */
function expansions(name: string, { clientNamespace, clusterDomain }: NameContext): readonly string[] {
  const labels = name.split('.')
  const result = [name]
  if (labels.length === 1) result.push(`${name}.${clientNamespace}.svc.${clusterDomain}`)
  if (labels.length === 2) result.push(`${name}.svc.${clusterDomain}`)
  if (labels.length === 3 && labels[2] === 'svc') result.push(`${name}.${clusterDomain}`)
  for (let i = 1; i < labels.length; i++) result.push(`*.${labels.slice(i).join('.')}`)
  return result
}

function lookUp(hostname: string, context: NameContext): Service | undefined {
  const service = resolveService(context.servicesByHostname(hostname), context.clientNamespace)
  if (service === undefined) return undefined
  // Without a VIP only Kubernetes' own (headless) services can be answered.
  return service.addresses.length > 0 || service.hostname.endsWith(`.svc.${context.clusterDomain}`)
    ? service
    : undefined
}
