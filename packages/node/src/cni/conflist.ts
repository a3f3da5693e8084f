// The node's network configuration with our plugin at the end of its chain, and without it again. Pure.

export const pluginType = 'wishbone-cni'

/** Our entry of the chain, as the plugin reads it. */
export interface PluginEntry {
  readonly type: typeof pluginType
  readonly socket: string
  readonly excludeNamespaces: readonly string[]
  /** The name of the file that the list was made from, when there was no list. */
  readonly madeFrom?: string
}

export type Change =
  /** `name` is another one than that of the source when a list was made from a single plugin. */
  | { readonly kind: 'write'; readonly name: string; readonly text: string }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'impossible'; readonly reason: string }

interface Plugin {
  readonly type: string
  readonly [member: string]: unknown
}
interface List {
  readonly cniVersion?: unknown
  readonly name?: unknown
  readonly plugins: readonly Plugin[]
  readonly [member: string]: unknown
}

/** Names that container runtimes read, in their order; of these only the first is in force. */
export function configurationsOf(names: readonly string[]): readonly string[] {
  return names.filter((name) => /\.(conflist|conf|json)$/.test(name)).sort()
}

/** Whether the text is a configuration that a runtime would take. */
export function isConfiguration(text: string): boolean {
  return read(text) !== undefined
}

/** Appends our entry to the list, or makes a list of a single plugin (as Istio's CNI does). */
export function withPlugin(name: string, text: string, entry: PluginEntry): Change {
  const list = read(text)
  if (list === undefined) return { kind: 'impossible', reason: `${name} is no network configuration` }
  // Before 0.3.0 a plugin does not get the result of the one before it.
  const version = typeof list.cniVersion === 'string' ? list.cniVersion : ''
  if (!/^(0\.[3-9]|[1-9])/.test(version))
    return {
      kind: 'impossible',
      reason: `${name} has cniVersion "${version}", which knows no chains; it must be 0.3.0 or later`,
    }
  const single = isSingle(text)
  const others = list.plugins.filter(({ type }) => type !== pluginType)
  const own = list.plugins.find(({ type }) => type === pluginType)
  const madeFrom = single ? name : own?.['madeFrom']
  const wanted = typeof madeFrom === 'string' ? { ...entry, madeFrom } : entry
  if (list.plugins.at(-1)?.type === pluginType && JSON.stringify(own) === JSON.stringify(wanted))
    return { kind: 'nothing' }
  const plugins = [...others, wanted]
  const whole = single ? { cniVersion: version, name: list.name, plugins } : { ...list, plugins }
  return { kind: 'write', name: single ? listNameOf(name) : name, text: print(whole) }
}

/** Takes our entry out; a list that was made from a single plugin becomes that again, under its old name. */
export function withoutPlugin(name: string, text: string): Change {
  const list = isSingle(text) ? undefined : read(text)
  const own = list?.plugins.find(({ type }) => type === pluginType)
  if (list === undefined || own === undefined) return { kind: 'nothing' }
  const plugins = list.plugins.filter(({ type }) => type !== pluginType)
  const [only] = plugins
  const madeFrom = own['madeFrom']
  if (typeof madeFrom === 'string' && !madeFrom.includes('/') && plugins.length === 1)
    return { kind: 'write', name: madeFrom, text: print({ cniVersion: list.cniVersion, name: list.name, ...only }) }
  return { kind: 'write', name, text: print({ ...list, plugins }) }
}

function listNameOf(name: string): string {
  return name.replace(/\.(conf|json)$/, '.conflist')
}

function print(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

function isSingle(text: string): boolean {
  const value = parse(text)
  return isMap(value) && !Array.isArray(value['plugins'])
}

function read(text: string): List | undefined {
  const value = parse(text)
  if (!isMap(value)) return undefined
  const { plugins } = value
  if (plugins === undefined && isPlugin(value)) {
    const { cniVersion, name, ...plugin } = value
    return { cniVersion, name, plugins: [plugin as Plugin] }
  }
  if (!Array.isArray(plugins) || plugins.length === 0 || !plugins.every(isPlugin)) return undefined
  return value as unknown as List
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isPlugin(value: unknown): value is Plugin {
  return isMap(value) && typeof value['type'] === 'string' && value['type'] !== ''
}
