// Brings an OCI archive into every node's containerd, and keeps it for nodes that start later.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { keepImage } from './images.ts'
import { initOf, livingNodes } from './node.ts'
import { paths } from './settings.ts'
import { ClusterError, run, say } from './shell.ts'

/** @throws ClusterError when the file is no archive of images */
export function loadImage(file: string | undefined): void {
  if (file === undefined || !existsSync(file))
    throw new ClusterError(
      `no such archive: '${file ?? ''}'; give a file, as 'docker save' or 'npm run image' writes it`,
    )
  const archive = resolve(process.env['INIT_CWD'] ?? '.', file)
  const living = livingNodes()
  if (living.length === 0) throw new ClusterError("no node runs; start the cluster with 'npm run cluster:up'")
  const listing = run(['tar', '-xOf', archive, 'index.json'])
  const kept = keepImage(archive)
  for (const node of living) {
    const enter = ['nsenter', '-t', String(initOf(node)!.pid), '-m', '-p', '-n', '-u', '--']
    run([...enter, `${paths.bin}/ctr`, '-n', 'k8s.io', 'images', 'import', '--all-platforms', kept])
  }
  say(`${references(listing).join(', ')} is on ${living.map(({ name }) => name).join(' and ')}`)
}

interface Index {
  readonly manifests?: readonly { readonly annotations?: Readonly<Record<string, string>> }[]
}

function references(index: string): readonly string[] {
  const { manifests = [] } = JSON.parse(index) as Index
  return manifests.flatMap(
    ({ annotations = {} }) =>
      annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'] ?? [],
  )
}
