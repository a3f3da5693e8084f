// What an owner wants differently in the objects of a Gateway: ConfigMaps in Istio's form, with one YAML text for each kind.
// First those that are for all Gateways of a class, then the one that the Gateway's parametersRef names.
import { parseDocument } from 'yaml'
import type { ConfigMap, Gateway } from '../../kinds/index.ts'
import { labels } from '../names.ts'
import { compareText, keyOf, type World } from '../world.ts'
import { isFields } from './merge.ts'

/** Keys of such a ConfigMap. */
export const overlayKeys = [
  'deployment',
  'service',
  'serviceAccount',
  'horizontalPodAutoscaler',
  'podDisruptionBudget',
] as const
export type OverlayKey = (typeof overlayKeys)[number]

export interface Overlay {
  /** `ConfigMap <namespace>/<name>`, for messages. */
  readonly source: string
  readonly texts: Partial<Readonly<Record<OverlayKey, Readonly<Record<string, unknown>>>>>
  /** Keys that mean nothing. */
  readonly unknown: readonly string[]
}

export type Parameters =
  | { readonly kind: 'valid'; readonly overlays: readonly Overlay[] }
  | { readonly kind: 'invalid'; readonly message: string }

export function parametersOf(world: World, { metadata, spec }: Gateway): Parameters {
  const sources = defaultsFor(world, spec.gatewayClassName)
  const ref = spec.infrastructure?.parametersRef
  if (ref) {
    if (ref.group !== '' || ref.kind !== 'ConfigMap') {
      const what = `${ref.kind}${ref.group === '' ? '' : `.${ref.group}`}`
      return invalid(`spec.infrastructure.parametersRef names ${what}; only a ConfigMap can be named there`)
    }
    const found = world.configMaps.get(`${metadata.namespace}/${ref.name}`)
    if (!found) return invalid(`ConfigMap ${metadata.namespace}/${ref.name} (parametersRef) does not exist; create it`)
    sources.push(found)
  }
  const overlays: Overlay[] = []
  for (const source of sources) {
    const read = readOverlay(source)
    if (typeof read === 'string') return invalid(read)
    overlays.push(read)
  }
  return { kind: 'valid', overlays }
}

/** ConfigMaps of the system namespace with Istio's label for this. */
function defaultsFor({ snapshot, settings }: World, className: string): ConfigMap[] {
  return snapshot.configMaps
    .filter(({ metadata }) => metadata.namespace === settings.systemNamespace)
    .filter(({ metadata }) => metadata.labels?.[labels.defaultsForClass] === className)
    .sort((a, b) => compareText(a.metadata.name, b.metadata.name))
}

/** A sentence if it can't be read. */
function readOverlay(map: ConfigMap): Overlay | string {
  const source = `ConfigMap ${keyOf(map)}`
  const texts: Partial<Record<OverlayKey, Readonly<Record<string, unknown>>>> = {}
  const data = map.data ?? {}
  for (const key of overlayKeys) {
    const text = data[key]
    if (text === undefined) continue
    const document = parseDocument(String(text))
    const error = document.errors[0]
    if (error) return `${source}: ${key} is not YAML: ${error.message.split('\n')[0]}`
    const value: unknown = document.toJS({ maxAliasCount: 20 })
    if (value === null) continue
    if (!isFields(value)) return `${source}: ${key} must be a YAML mapping, such as "spec: {replicas: 2}"`
    texts[key] = value
  }
  const known: readonly string[] = overlayKeys
  return { source, texts, unknown: Object.keys(data).filter((key) => !known.includes(key)) }
}

function invalid(message: string): Parameters {
  return { kind: 'invalid', message }
}
