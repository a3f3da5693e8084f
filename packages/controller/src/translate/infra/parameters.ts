// What an owner wants differently in the objects of a Gateway: ConfigMaps in Istio's form, with one YAML text for each kind.
// First those that are for all Gateways of a class, by label and by its parametersRef, then the one that the Gateway's
// parametersRef names (GEP-1867: the more specific wins).
import { parseDocument } from 'yaml'
import type { ConfigMap, Gateway, GatewayClass } from '../../kinds/index.ts'
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

export interface Parameters {
  /** What can be read of them. */
  readonly overlays: readonly Overlay[]
  /** Everything that is wrong with them, a sentence each; if there is any, nothing of them is to be applied. */
  readonly faults: readonly string[]
}

export function parametersOf(world: World, { metadata, spec }: Gateway): Parameters {
  const ofClass = world.snapshot.gatewayClasses.find((one) => one.metadata.name === spec.gatewayClassName)
  const named = ofClass ? namedByClass(world, ofClass) : undefined
  const sources = defaultsFor(world, spec.gatewayClassName)
  const faults: string[] = []
  if (typeof named === 'string') faults.push(named)
  else if (named) sources.push(named)
  const ref = spec.infrastructure?.parametersRef
  if (ref) {
    const found = resolve(world, 'spec.infrastructure.parametersRef', { ...ref, namespace: metadata.namespace ?? '' })
    if (typeof found === 'string') faults.push(found)
    else sources.push(found)
  }
  const read = sources.map(readOverlay)
  return {
    overlays: read.map(({ overlay }) => overlay),
    faults: [...faults, ...read.flatMap((one) => one.faults)],
  }
}

/** What is wrong with the parameters that a GatewayClass names, a sentence each; its Gateways say so too. */
export function classFaults(world: World, ofClass: GatewayClass): readonly string[] {
  const named = namedByClass(world, ofClass)
  if (named === undefined) return []
  return typeof named === 'string' ? [named] : readOverlay(named).faults
}

function namedByClass(world: World, { metadata, spec }: GatewayClass): ConfigMap | string | undefined {
  const ref = spec.parametersRef
  if (!ref) return undefined
  const field = `spec.parametersRef of GatewayClass ${metadata.name}`
  if (!ref.namespace) return `${field} names no namespace; name that of the ConfigMap`
  return resolve(world, field, { ...ref, namespace: ref.namespace })
}

interface Reference {
  readonly group: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

/** A sentence if there is no such ConfigMap. `field`: where it is named. */
function resolve(world: World, field: string, { group, kind, namespace, name }: Reference): ConfigMap | string {
  if (group !== '' || kind !== 'ConfigMap')
    return `${field} names ${kind}${group === '' ? '' : `.${group}`}; only a ConfigMap can be named there`
  const found = world.configMaps.get(`${namespace}/${name}`)
  return found ?? `ConfigMap ${namespace}/${name} (${field}) does not exist; create it`
}

/** ConfigMaps of the system namespace with Istio's label for this. */
function defaultsFor({ snapshot, settings }: World, className: string): ConfigMap[] {
  return snapshot.configMaps
    .filter(({ metadata }) => metadata.namespace === settings.systemNamespace)
    .filter(({ metadata }) => metadata.labels?.[labels.defaultsForClass] === className)
    .sort((a, b) => compareText(a.metadata.name, b.metadata.name))
}

interface ReadOverlay {
  readonly overlay: Overlay
  readonly faults: readonly string[]
}

/** By object, which does not change: many Gateways may name one, and each translation asks for all of them. */
const overlays = new WeakMap<ConfigMap, ReadOverlay>()

function readOverlay(map: ConfigMap): ReadOverlay {
  const known = overlays.get(map)
  if (known) return known
  const read = overlayOf(map)
  overlays.set(map, read)
  return read
}

function overlayOf(map: ConfigMap): ReadOverlay {
  const source = `ConfigMap ${keyOf(map)}`
  const faults: string[] = []
  const texts: Partial<Record<OverlayKey, Readonly<Record<string, unknown>>>> = {}
  const data = map.data ?? {}
  for (const key of overlayKeys) {
    const text = data[key]
    if (text === undefined) continue
    const read = readMapping(String(text))
    faults.push(...read.faults.map((fault) => `${source}, key ${key}: ${fault}`))
    if (read.value) texts[key] = read.value
  }
  const known: readonly string[] = overlayKeys
  return { overlay: { source, texts, unknown: Object.keys(data).filter((key) => !known.includes(key)) }, faults }
}

/** Anybody may write such a text, and reading what is no YAML takes time by the square of its length. */
const maxCharacters = 32_768
/** Finding the line of each fault is what takes that time. */
const maxFaults = 20

/** Neither value nor faults: the text is empty. */
function readMapping(text: string): {
  readonly value?: Readonly<Record<string, unknown>>
  readonly faults: readonly string[]
} {
  if (text.length > maxCharacters) return { faults: [`it has more than ${maxCharacters} characters; shorten it`] }
  const terse = parseDocument(text, { prettyErrors: false })
  if (terse.errors.length > maxFaults)
    return { faults: [`no YAML: ${terse.errors[0]!.message}, and ${terse.errors.length - 1} more faults`] }
  const document = terse.errors.length > 0 ? parseDocument(text) : terse
  const faults = document.errors.map(({ message }) => `no YAML: ${message.split('\n')[0]!.replace(/:$/, '')}`)
  if (faults.length > 0) return { faults }
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: 20 })
  } catch (cause) {
    // An alias without an anchor, or one that multiplies.
    return { faults: [`no YAML: ${cause instanceof Error ? cause.message : String(cause)}`] }
  }
  if (value === null) return { faults: [] }
  return isFields(value) ? { value, faults: [] } : { faults: ['it must be a mapping, such as "spec: {replicas: 2}"'] }
}
