import { Registry } from 'prom-client'

export interface Scrape {
  readonly type: string
  readonly text: string
}

/**
 * Reads a registry as Prometheus text or as OpenMetrics. One after the other: prom-client takes the `_total` off the names of
 * counters for OpenMetrics, and would leave it off for whoever asks for text then.
 */
export class Scraper {
  readonly #registry: Registry
  #last: Promise<unknown> = Promise.resolve()

  constructor(registry: Registry) {
    this.#registry = registry
  }

  read(openMetrics: boolean): Promise<Scrape> {
    const turn = this.#last.then(() => this.#read(openMetrics))
    this.#last = turn.catch(() => {})
    return turn
  }

  async #read(openMetrics: boolean): Promise<Scrape> {
    const type = openMetrics ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE
    const metrics = this.#registry.getMetricsAsArray()
    const names = metrics.map(({ name }) => name)
    this.#registry.setContentType(type as typeof Registry.PROMETHEUS_CONTENT_TYPE)
    try {
      return { type, text: await this.#registry.metrics() }
    } finally {
      for (const [index, metric] of metrics.entries()) metric.name = names[index]!
    }
  }
}
