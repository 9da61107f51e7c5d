import { KindGuard, OptionalKind } from '@sinclair/typebox'
import { type ConfigKey, configKeys, envName } from '../config/keys.js'
import { isLive } from '../config/live-paths.js'
import { formatPath } from '../config/paths.js'
import { groupBy } from './group.js'
import { code, type Parts, table } from './markdown.js'
import { typeText } from './schema-text.js'

const HEAD = ['Key', 'Environment', 'Type', 'Unit', 'Default', 'Applies', 'Meaning']

/** The generated parts of `docs/config.md`. */
export const configParts: Parts = { config: configTables }

/** One table of the single keys at the top, then one for each section, record and list. */
function configTables(): string {
  const groups = groupBy(configKeys(), ({ path }) => path[0]!)
  const single = [...groups.values()].filter((keys) => keys.length === 1).flat()
  const sections = [...groups.values()].filter((keys) => keys.length > 1)
  return [
    `### At the top\n\n${table(HEAD, single.map(row))}`,
    ...sections.map(([section, ...keys]) => {
      const { path, schema } = section!
      // A section is only a name for its keys; a record or list is a key of its own.
      const all = KindGuard.IsObject(schema) ? keys : [section!, ...keys]
      const rows = all.filter(({ path }) => path.at(-1) !== '[]')
      return `### ${code(path[0]!)}\n\n${schema.description}\n\n${table(HEAD, rows.map(row))}`
    }),
  ].join('\n\n')
}

function row({ path, schema }: ConfigKey): string[] {
  const isSection = KindGuard.IsObject(schema) && schema.default !== undefined
  return [
    code(path.join('.').replaceAll('.[]', '[]')),
    path.includes('[]') ? '' : code(environment(path)),
    isSection ? 'section' : typeText(schema),
    schema.unit ?? '',
    isSection ? '' : defaultText({ path, schema }),
    isSection ? '' : isLive(formatPath(path)) ? 'at once' : 'restart',
    schema.description ?? '',
  ]
}

function environment(path: readonly string[]): string {
  return path.reduce(
    (name, step) => (step === '<name>' ? name.replace('_NAME_', '<NAME>') : name),
    envName(path),
  )
}

function defaultText({ path, schema }: ConfigKey): string {
  const value: unknown = schema.default
  if (value !== undefined) return `${code(JSON.stringify(value))}${inWords(value, schema.unit)}`
  const isItem = path.includes('[]') || path.includes('<name>')
  return isItem && path.at(-1) !== '<name>' && !(OptionalKind in schema) ? 'required' : ''
}

const UNITS: Readonly<Record<string, readonly (readonly [size: number, name: string])[]>> = {
  ms: [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1_000, 's'],
  ],
  bytes: [
    [1_048_576, 'MiB'],
    [1_024, 'KiB'],
  ],
}

/** `604800000` → ` (7 d)`, where that is exact. */
function inWords(value: unknown, unit = ''): string {
  const found = UNITS[unit]?.find(([size]) => Number(value) >= size && Number(value) % size === 0)
  return found === undefined ? '' : ` (${Number(value) / found[0]} ${found[1]})`
}
