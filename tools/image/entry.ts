// One thing in an image: a folder, a file of the machine, a file made here, or a link. Modes are only "may it run" so
// that the umask and owner of the building machine leave no trace.
export type Entry =
  | { readonly kind: 'folder'; readonly path: string; readonly mode?: number }
  | { readonly kind: 'copy'; readonly path: string; readonly from: string; readonly executable: boolean }
  | { readonly kind: 'text'; readonly path: string; readonly text: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }

/** The entries with every folder above them, each path once (the last wins), in one order. */
export function complete(entries: readonly Entry[]): Entry[] {
  const byPath = new Map<string, Entry>()
  for (const entry of entries) {
    const parts = entry.path.split('/')
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join('/')
      if (!byPath.has(path)) byPath.set(path, { kind: 'folder', path })
    }
    byPath.set(entry.path, entry)
  }
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

export function modeOf(entry: Entry): number {
  if (entry.kind === 'folder') return entry.mode ?? 0o755
  if (entry.kind === 'link') return 0o777
  return entry.kind === 'copy' && entry.executable ? 0o755 : 0o644
}
