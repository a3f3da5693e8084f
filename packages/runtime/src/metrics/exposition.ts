// The exposition text in pieces. A proxy of a busy mesh has thousands of series of sixty lines each: made at once, their
// text would hold up the traffic for seconds and take hundreds of megabytes.
import type { Registry } from 'prom-client'

/** What prom-client's metrics and ours give; `sharedLabels` come first, and are the same object for samples that follow each other. */
export interface Sample {
  readonly metricName?: string
  readonly labels?: Readonly<Record<string, string | number | undefined>>
  readonly sharedLabels?: Readonly<Record<string, string | number | undefined>>
  readonly value: number
}

interface Exposed {
  get(): Promise<{
    readonly name: string
    readonly help: string
    readonly type: string
    readonly values: Iterable<Sample>
  }>
}

const pieceCharacters = 1 << 16

let turn: Promise<void> = Promise.resolve()

/** However many ask at a time, a turn of the event loop makes one piece. */
function nextTurn(): Promise<void> {
  turn = turn.then(() => new Promise((resolve) => setImmediate(resolve)))
  return turn
}

/** The text of all metrics in Prometheus's format 0.0.4. Whoever stops asking costs nothing more. */
export async function* expose(registry: Registry): AsyncGenerator<string, void, undefined> {
  let piece = ''
  let shared: Sample['sharedLabels']
  let sharedText = ''
  for (const metric of registry.getMetricsAsArray() as unknown as readonly Exposed[]) {
    const { name, help, type, values } = await metric.get()
    piece += `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n`
    for (const { metricName, labels, sharedLabels, value } of values) {
      if (sharedLabels !== shared) {
        shared = sharedLabels
        sharedText = labelsText(sharedLabels)
      }
      const own = labelsText(labels)
      const all = sharedText === '' || own === '' ? sharedText + own : `${sharedText},${own}`
      piece += `${metricName ?? name}${all === '' ? '' : `{${all}}`} ${valueText(value)}\n`
      if (piece.length < pieceCharacters) continue
      yield piece
      piece = ''
      await nextTurn()
    }
    piece += '\n'
  }
  yield piece
}

function labelsText(labels: Sample['labels']): string {
  let text = ''
  for (const name in labels) {
    const value = labels[name]
    text += `${text === '' ? '' : ','}${name}="${typeof value === 'string' ? escaped(value).replace(/"/g, '\\"') : value}"`
  }
  return text
}

const escaped = (text: string): string => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')

function valueText(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value < 0 ? '-Inf' : '+Inf'
}
