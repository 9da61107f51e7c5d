import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

/** The files that ship for Prometheus and Grafana; this file is compiled to dist/test/helpers. */
export const DEPLOY = fileURLToPath(new URL('../../../deploy/', import.meta.url))

export interface Query {
  /** Which alert or panel it belongs to. */
  readonly of: string
  readonly expr: string
  /** What text about its result names, in `{{…}}`. */
  readonly named: readonly string[]
}

export interface Alert {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export function alerts(): Alert[] {
  const text = readFileSync(`${DEPLOY}prometheus/rules/lurkbot.rules.yml`, 'utf8')
  const { groups } = parse(text) as { groups: { rules: Alert[] }[] }
  return groups.flatMap(({ rules }) => rules)
}

export function alertQueries(): Query[] {
  return alerts().map(({ alert, expr, annotations }) => {
    const text = Object.values(annotations).join('\n')
    return { of: alert, expr, named: [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label!) }
  })
}

export interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

export interface Dashboard {
  readonly panels: readonly Panel[]
  readonly annotations: { readonly list: readonly { name: string; expr: string; titleFormat: string }[] }
  readonly templating: { readonly list: readonly { name: string; type: string; definition?: string }[] }
}

export function dashboard(): Dashboard {
  return JSON.parse(readFileSync(`${DEPLOY}grafana/lurkbot-dashboard.json`, 'utf8'))
}

/** Every query of the dashboard: of panels, annotations and, as the series that they look for, variables. */
export function dashboardQueries(): Query[] {
  const { panels, annotations, templating } = dashboard()
  const legends = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label!)
  return [
    ...panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr, legendFormat }) => ({ of: title, expr, named: legends(legendFormat) })),
    ),
    ...annotations.list.map(({ name, expr, titleFormat }) => ({
      of: name,
      expr,
      named: legends(titleFormat),
    })),
    ...templating.list.flatMap(({ name, definition }) => {
      const [, expr, label] = /^label_values\((.*), (\w+)\)$/.exec(definition ?? '') ?? []
      return expr === undefined ? [] : [{ of: name, expr, named: [label!] }]
    }),
  ]
}

/** What Grafana would send: its variables filled in. @param range such as `5s` */
export function filledIn(expr: string, range: string): string {
  return expr.replaceAll(/\$__\w+/g, range).replaceAll(/\$(?:job|instance)\b/g, '.+')
}

const WORDS = new Set(
  'and or unless by on ignoring without group_left group_right bool offset inf nan'.split(' '),
)

export interface Names {
  readonly metrics: string[]
  /** Of series: in matchers, groupings and joins. */
  readonly labels: string[]
  /** Those that the query makes itself. */
  readonly made: string[]
  /** Those that its result is grouped by; null: it is not grouped. */
  readonly grouped: string[] | null
}

/** The names in a query of ours: what is neither a word of the language nor a function nor a label is a metric. */
export function namesIn(expr: string): Names {
  // label_replace(…, "made", "replacement", "source", "pattern")
  const made = [...expr.matchAll(/,\s*"(\w+)",\s*"[^"]*",\s*"\w*",\s*"/g)].map(([, label]) => label!)
  const bare = expr.replace(/"(?:[^"\\]|\\.)*"/g, '""')
  const matchers = [...bare.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*""/g)].map(([, label]) => label!)
  const lists = [...bare.matchAll(/\b(by|on|ignoring|without)\s*\(([^)]*)\)/g)]
  const listed = (words: readonly string[]) =>
    lists
      .filter(([, word]) => words.includes(word!))
      .flatMap(([, , list]) => list!.split(','))
      .map((label) => label.trim())
      .filter((label) => label !== '')
  const rest = bare
    .replace(/\b(?:by|on|ignoring|without)\s*\([^)]*\)/g, ' ')
    .replace(/\{[^}]*\}/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
  const metrics = [...rest.matchAll(/[a-zA-Z_:][\w:]*(?!\s*\()\b(?!\s*\()/g)]
    .map(([name]) => name)
    .filter((name) => !WORDS.has(name))
  const isGrouped = lists.some(([, word]) => word === 'by')
  return {
    metrics: [...new Set(metrics)],
    labels: [...new Set([...matchers, ...listed(['by', 'on', 'ignoring', 'without'])])],
    made,
    grouped: isGrouped ? listed(['by']) : null,
  }
}
