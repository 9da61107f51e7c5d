import type { MetricValue, Registry } from 'prom-client'

/** One series: an observation is a search among a dozen numbers and three additions. */
export class Series {
  readonly counts: Float64Array
  sum = 0

  constructor(private readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    const { bounds } = this
    let bucket = 0
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++
    this.counts[bucket]!++
    this.sum += value
  }
}

/**
 * A Prometheus histogram for the hot path, with one label: prom-client's own makes and hashes label objects, which costs
 * a tenth of a small request.
 */
export class FastHistogram {
  readonly #series = new Map<string, Series>()

  constructor(
    registry: Registry,
    private readonly name: string,
    private readonly help: string,
    private readonly label: string,
    private readonly bounds: readonly number[],
  ) {
    const metric = {
      name,
      help,
      type: 'histogram',
      labelNames: [label],
      aggregator: 'sum',
      get: async () => this.#get(),
      reset: () => this.#series.clear(),
    }
    registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0])
  }

  /** The series of a label value; values come from a bounded set. */
  series(value: string): Series {
    let series = this.#series.get(value)
    if (series === undefined) {
      series = new Series(this.bounds)
      this.#series.set(value, series)
    }
    return series
  }

  #get(): object {
    const { name, help, label, bounds } = this
    const values: (MetricValue<string> & { metricName: string })[] = []
    for (const [value, { counts, sum }] of this.#series) {
      let total = 0
      for (let i = 0; i <= bounds.length; i++) {
        total += counts[i]!
        values.push({
          metricName: `${name}_bucket`,
          labels: { le: bounds[i] ?? '+Inf', [label]: value },
          value: total,
        })
      }
      values.push({ metricName: `${name}_sum`, labels: { [label]: value }, value: sum })
      values.push({ metricName: `${name}_count`, labels: { [label]: value }, value: total })
    }
    return { name, help, type: 'histogram', aggregator: 'sum', values }
  }
}
