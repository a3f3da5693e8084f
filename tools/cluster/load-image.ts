// Brings an OCI archive into every node's containerd, and keeps it for nodes that start later.
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { keepImage } from './images.ts'
import { initOf, livingNodes } from './node.ts'
import { type NodeSettings, paths } from './settings.ts'
import { attempt, ClusterError, runBeside, say } from './shell.ts'

/** @throws ClusterError when the file is no archive of images */
export async function loadImage(file: string | undefined): Promise<void> {
  // npm starts scripts in the checkout; what the operator typed is relative to where they are.
  const archive = resolve(process.env['INIT_CWD'] ?? '.', file ?? '')
  if (file === undefined || !existsSync(archive))
    throw new ClusterError(
      `no such file: '${file ?? ''}'; give an archive, as 'npm run image' or 'docker save' writes it`,
    )
  const living = livingNodes()
  if (living.length === 0) throw new ClusterError("no node runs; start the cluster with 'npm run cluster:up'")
  await Promise.all(living.map((node) => importInto(node, archive)))
  // Only what could be imported is kept.
  const kept = keepImage(archive)
  for (const node of living) markImported(node, kept)
  say(`${references(archive).join(', ')}: on ${living.map(({ name }) => name).join(' and ')}`)
}

function importInto(node: NodeSettings, archive: string): Promise<string> {
  const init = initOf(node)
  if (init === undefined) throw new ClusterError(`${node.name} is just starting or ending; try again`)
  const enter = ['nsenter', '-t', String(init.pid), '-m', '-p', '-n', '-u', '--']
  return runBeside([...enter, `${paths.bin}/ctr`, '-n', 'k8s.io', 'images', 'import', '--all-platforms', archive])
}

/** The mark that node-init.sh looks for before it imports an archive. */
function markImported(node: NodeSettings, archive: string): void {
  const { size, mtimeMs } = statSync(archive)
  const mark = `imported-${basename(archive)}-${size}-${Math.floor(mtimeMs / 1000)}`
  writeFileSync(join(paths.node(node.name), 'containerd', mark), '')
}

interface Index {
  readonly manifests?: readonly { readonly annotations?: Readonly<Record<string, string>> }[]
}

function references(archive: string): readonly string[] {
  const { ok, stdout } = attempt(['tar', '-xOf', archive, 'index.json'])
  if (!ok) return [basename(archive)]
  const { manifests = [] } = JSON.parse(stdout) as Index
  return manifests.flatMap(
    ({ annotations = {} }) =>
      annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'] ?? [],
  )
}
