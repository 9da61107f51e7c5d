import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createCertificate, replaceFile } from '../auth/certificates.js'
import { startApp, temporaryFolder } from '../helpers/app.js'
import {
  alertQueries,
  alerts,
  DEPLOY,
  dashboard,
  dashboardQueries,
  namesIn,
  type Query,
} from '../helpers/promql.js'

const OPERATIONS = readFileSync(`${DEPLOY}../docs/operations.md`, 'utf8')

interface Known {
  readonly name: string
  readonly type: string
  readonly labelNames: readonly string[]
}

/** Every metric that there can be: with TLS, which brings one of its own. */
async function registered(t: Test): Promise<readonly Known[]> {
  const home = await temporaryFolder(t)
  const { cert, key } = await createCertificate()
  await replaceFile(`${home}/cert.pem`, cert)
  await replaceFile(`${home}/key.pem`, key)
  const tls = { enabled: true, cert: `${home}/cert.pem`, key: `${home}/key.pem` }
  const { app } = await startApp(t, { tls }, { home })
  return metricsOf(app)
}

function metricsOf({ metrics: { registry } }: FastifyInstance): readonly Known[] {
  // prom-client’s types leave out what its metrics keep.
  return registry.getMetricsAsArray() as unknown as Known[]
}

/** Each series name with the labels that it has. */
function seriesOf(metrics: readonly Known[]): Map<string, ReadonlySet<string>> {
  const series = new Map<string, ReadonlySet<string>>([['up', new Set(['job', 'instance'])]])
  for (const { name, type, labelNames } of metrics) {
    const labels = ['job', 'instance', ...labelNames]
    if (type !== 'histogram') series.set(name, new Set(labels))
    else {
      series.set(`${name}_bucket`, new Set([...labels, 'le']))
      for (const suffix of ['_sum', '_count']) series.set(`${name}${suffix}`, new Set(labels))
    }
  }
  return series
}

/** What a query names and nothing has. */
function unknownIn({ expr, named }: Query, series: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const { metrics, labels, made, grouped } = namesIn(expr)
  const known = new Set([...made, ...metrics.flatMap((name) => [...(series.get(name) ?? [])])])
  const shown = grouped === null ? known : new Set(grouped)
  return [
    ...metrics.filter((name) => !series.has(name)),
    ...labels.filter((label) => !known.has(label)),
    ...named.filter((label) => !shown.has(label)).map((label) => `{{${label}}}`),
  ]
}

const METRICS = await registered(t)

t.test('every query names metrics and labels that there are', async (t) => {
  const series = seriesOf(METRICS)
  for (const query of [...alertQueries(), ...dashboardQueries()]) {
    t.same(unknownIn(query, series), [], `${query.of}: ${query.expr}`)
    t.ok(namesIn(query.expr).metrics.length > 0, `${query.of} is about something`)
  }
  const wrong = { of: 'x', expr: 'sum by (oh) (rate(gateway_no{job="a", evil="b"}[5m]))', named: ['no'] }
  t.same(unknownIn(wrong, series), ['gateway_no', 'job', 'evil', 'oh', '{{no}}'], 'it would be seen')
})

t.test('docs/operations.md names every metric of the gateway with its labels', async (t) => {
  for (const { name, labelNames } of METRICS) {
    if (!name.startsWith('gateway_')) continue
    const labels = labelNames.length === 0 ? '' : `{${labelNames.join(',')}}`
    t.ok(OPERATIONS.includes(`\`${name}${labels}\``), `${name}${labels}`)
  }
})

t.test('every metric that docs/operations.md names is there', async (t) => {
  const names = new Set(METRICS.map(({ name }) => name))
  const [section] = /^## Metrics$.*?(?=^## Prometheus and Grafana$)/ms.exec(OPERATIONS)!
  for (const [, name] of section.matchAll(/`(gateway_[a-z_]+)[{`]/g)) t.ok(names.has(name!), name!)
})

t.test(
  'every alert has a severity, says what is the matter, and is in docs/operations.md and the rules’ tests',
  async (t) => {
    const tested = readFileSync(`${DEPLOY}prometheus/rules/lurkbot.test.yml`, 'utf8')
    for (const { alert, labels, annotations } of alerts()) {
      t.ok(['critical', 'warning'].includes(labels.severity!), alert)
      t.match(annotations, { summary: /\.$/, description: /\S/ }, alert)
      const [, anchor] = /^docs\/operations\.md#([a-z]+)$/.exec(annotations.runbook_url!) ?? []
      t.ok(OPERATIONS.includes(`<a id="${anchor}"></a>`), `${alert}: ${annotations.runbook_url}`)
      t.ok(OPERATIONS.includes(`\`${alert}\``), `${alert} is explained`)
      t.match(tested, new RegExp(`alertname(="|: )${alert}\\b`), `${alert} is tested`)
    }
  },
)

t.test('the dashboard’s panels have names, descriptions, units and a place of their own', async (t) => {
  const { panels } = dashboard()
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const taken = new Set<string>()
  for (const { type, title, description, fieldConfig, gridPos } of panels) {
    const { x, y, w, h } = gridPos
    t.ok(x + w <= 24, `${title} fits`)
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        const cell = `${column},${line}`
        if (taken.has(cell)) t.fail(`${title} covers another panel`)
        taken.add(cell)
      }
    }
    if (type === 'row') continue
    t.match(description, /\.$/, title)
    if (type !== 'state-timeline') t.type(fieldConfig?.defaults.unit, 'string', title)
  }
})
