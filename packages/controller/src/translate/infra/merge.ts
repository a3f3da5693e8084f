// Strategic merge as `kubectl patch` does it, for the kinds that a Gateway may adjust: maps are merged, null takes a member
// away, lists of things that have names are merged by them, and every other list is replaced.

/** What tells the entries of a list apart, by the list's name. A list that is not here is replaced as a whole. */
const keys: Readonly<Record<string, readonly string[]>> = {
  containers: ['name'],
  initContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  volumeMounts: ['mountPath'],
  volumeDevices: ['devicePath'],
  // Of a container, of a Service.
  ports: ['containerPort', 'port'],
  hostAliases: ['ip'],
  imagePullSecrets: ['name'],
  secrets: ['name'],
  resourceClaims: ['name'],
  topologySpreadConstraints: ['topologyKey'],
}

type Fields = Readonly<Record<string, unknown>>

/** `patch` over `base`; neither is changed. `$patch: replace` and `$patch: delete` mean what they mean to kubectl. */
export function strategicMerge(base: Fields, patch: Fields): Fields {
  if (patch['$patch'] === 'replace') return withoutDirective(patch)
  const merged: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(patch)) {
    if (name === '$patch') continue
    if (value === null || (isFields(value) && value['$patch'] === 'delete')) delete merged[name]
    else if (Array.isArray(value)) merged[name] = mergeList(name, merged[name], value)
    else if (isFields(value)) merged[name] = strategicMerge(isFields(merged[name]) ? merged[name] : {}, value)
    else merged[name] = value
  }
  return merged
}

function mergeList(name: string, base: unknown, patch: readonly unknown[]): readonly unknown[] {
  const key = keys[name]?.find((one) => patch.every((item) => isFields(item) && (one in item || '$patch' in item)))
  if (key === undefined || !Array.isArray(base)) return patch.filter((item) => !isDeletion(item))
  if (patch.some((item) => isFields(item) && item['$patch'] === 'replace' && !(key in item)))
    return patch.filter((item) => isFields(item) && key in item)
  const left = [...(base as readonly unknown[])]
  for (const item of patch as readonly Fields[]) {
    const at = left.findIndex((other) => isFields(other) && other[key] === item[key])
    if (isDeletion(item)) {
      if (at >= 0) left.splice(at, 1)
    } else if (at < 0) left.push(withoutDirective(item))
    else left[at] = strategicMerge(left[at] as Fields, item)
  }
  return left
}

function isDeletion(item: unknown): boolean {
  return isFields(item) && item['$patch'] === 'delete'
}

function withoutDirective(fields: Fields): Fields {
  const { $patch: _, ...rest } = fields
  return rest
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
