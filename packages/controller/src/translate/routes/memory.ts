// What routes became the last time, so that a change of one route does not translate thousands of others anew.
import type { Settings, Snapshot } from '../../model/index.ts'
import type { RouteObject, TranslatedRoute } from './routes.ts'

/** Members that say nothing about how another route is translated: routes themselves, and the clock. */
const apart: ReadonlySet<string> = new Set<keyof Snapshot>([
  'httpRoutes',
  'grpcRoutes',
  'tcpRoutes',
  'tlsRoutes',
  'udpRoutes',
  'nowUnixMs',
])

/**
 * Holds for as long as nothing but routes changes: everything else of the snapshot must be the very same, by reference, and
 * the settings equal. So what a route depends on need not be known here, only that it does not depend on other routes.
 */
export class RouteMemory {
  #around: ReadonlyMap<string, unknown> = new Map()
  #known = new WeakMap<RouteObject, TranslatedRoute>()

  /** What is known under these circumstances; empty when they have changed. */
  under(snapshot: Snapshot, settings: Settings): WeakMap<RouteObject, TranslatedRoute> {
    const around = circumstances(snapshot, settings)
    if (!sameMembers(around, this.#around)) this.#known = new WeakMap()
    this.#around = around
    return this.#known
  }
}

function circumstances(snapshot: Snapshot, settings: Settings): ReadonlyMap<string, unknown> {
  return new Map<string, unknown>([
    ...Object.entries(snapshot).filter(([name]) => !apart.has(name)),
    ['settings', JSON.stringify(settings)],
  ])
}

function sameMembers(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  return a.size === b.size && [...a].every(([name, value]) => b.get(name) === value)
}
