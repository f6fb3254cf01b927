/** The metrics as Prometheus reads them. The text is prom-client's work; it is loaded when somebody asks for the first time. */
import { accumulate, durationBoundsMs, type DurationFigures } from '../observe/duration-histogram.ts'
import { metricTable, type MetricRow, type MetricSource } from './metric-table.ts'

export const expositionType = 'text/plain; version=0.0.4; charset=utf-8'

interface Value {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  readonly metricName?: string
}

export async function renderMetrics(source: MetricSource): Promise<string> {
  const { AggregatorRegistry } = await import('prom-client')
  const metrics = Object.entries<MetricRow>(metricTable).map(([name, row]) => ({
    name,
    help: row.doc,
    type: row.type,
    aggregator: 'sum',
    values:
      row.type === 'histogram'
        ? row.read(source).flatMap(([labels, figures]) => spread(name, nameLabels(row, labels), figures))
        : row.read(source).map(([labels, value]): Value => ({ labels: nameLabels(row, labels), value })),
  }))
  return AggregatorRegistry.aggregate([metrics]).metrics()
}

function nameLabels({ labels: names }: MetricRow, values: readonly (string | number)[]): Value['labels'] {
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']))
}

/** A histogram in seconds, as rows of its own. */
function spread(name: string, labels: Value['labels'], figures: DurationFigures): readonly Value[] {
  const sums = accumulate(figures)
  const buckets = sums.map((sum, index): Value => {
    const bound = durationBoundsMs[index]
    return { labels: { le: bound === undefined ? '+Inf' : bound / 1_000, ...labels }, value: sum, metricName: `${name}_bucket` }
  })
  return [
    ...buckets,
    { labels, value: figures.sumMs / 1_000, metricName: `${name}_sum` },
    { labels, value: sums.at(-1) ?? 0, metricName: `${name}_count` },
  ]
}
