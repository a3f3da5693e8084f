// What every verb needs: where the cluster is, and how to speak to the person.
import { existsSync } from 'node:fs'
import { createKubeClient, type KubeClient } from '../kube/client.ts'
import { kubeconfigPaths, readKubeConfig } from '../kube/config.ts'

/** A mistake of the person's: printed as one line, exit status 1, without a stack. */
export class UsageError extends Error {}

export interface ClusterOptions {
  readonly kubeconfig?: string
  readonly namespace?: string
}

/** The client for --kubeconfig, $KUBECONFIG, a running `wishbone up` here, or ~/.kube/config; UsageError when there is none. */
export function connectCluster(options: ClusterOptions): KubeClient {
  const paths = options.kubeconfig ? [options.kubeconfig] : kubeconfigPaths(process.env)
  const path = paths.find((candidate) => existsSync(candidate))
  if (!path) {
    throw new UsageError(
      `no cluster: none of ${paths.join(', ')} exists. Start one with 'wishbone up -f FOLDER', or set KUBECONFIG`,
    )
  }
  const config = readKubeConfig(path)
  return createKubeClient(options.namespace ? { ...config, namespace: options.namespace } : config)
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Rows under headings, columns as wide as their widest cell. */
export function printTable(headings: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  for (const row of [headings, ...rows]) {
    print(
      row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd((widths[column] ?? 0) + 3))).join(''),
    )
  }
}
