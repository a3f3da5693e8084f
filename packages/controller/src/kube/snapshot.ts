// From the store's frozen objects to the snapshot that a translation gets.
import type { Snapshot } from '../model/index.ts'
import { type WatchedName, watchedKinds } from './resources.ts'
import type { Store } from './store.ts'

/** The cluster at this moment. Its arrays are the store's own: equal as long as nothing of that kind has changed. */
export function freezeSnapshot(store: Store, nowUnixMs: number): Snapshot {
  const members: Record<string, unknown> = { nowUnixMs }
  for (const name of Object.keys(watchedKinds) as WatchedName[]) members[name] = store.objects(name)
  // The API server has checked the objects against the schemas from which the types are generated.
  return members as unknown as Snapshot
}
