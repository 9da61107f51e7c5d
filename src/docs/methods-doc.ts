import { KindGuard, type TSchema } from '@sinclair/typebox'
import type { Contract } from '../protocol/contract.js'
import { EVENTS, type EventContract } from '../protocol/events.js'
import * as methods from '../protocol/methods/index.js'
import { groupBy } from './group.js'
import { code, type Parts, table } from './markdown.js'
import { type Field, fieldsOf, shapeLink, typeText } from './schema-text.js'

/** The generated parts of `docs/methods.md`. */
export const methodParts: Parts = { methods: methodTexts, events: eventTexts, shapes: shapeTexts }

/** Every contract that the protocol exports, in the order of their names. */
export function allContracts(): Contract[] {
  const exported: readonly object[] = Object.values(methods)
  return exported
    .filter((value): value is Contract => 'params' in value && 'result' in value)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function methodTexts(): string {
  const families = groupBy(allContracts(), ({ name }) => name.split('.')[0]!)
  return [...families]
    .map(([family, contracts]) => [`### ${family}`, ...contracts.map(methodText)].join('\n\n'))
    .join('\n\n')
}

function methodText(contract: Contract): string {
  const session = {
    required: ' It needs a `sessionKey`.',
    optional: ' It may have a `sessionKey`.',
    none: '',
  }[contract.session]
  return [
    `#### ${contract.name}`,
    `${contract.summary}`,
    `${scopeText(contract.scope)}${session}`,
    shapeText('Parameters', contract.params, 'Required'),
    shapeText('Result', contract.result),
  ].join('\n\n')
}

function eventTexts(): string {
  return Object.values(EVENTS).map(eventText).join('\n\n')
}

function eventText(event: EventContract): string {
  const facts = [
    event.durable ? 'Durable: it has a `seq` and is replayed on resume.' : 'Not durable.',
    event.session ? 'It belongs to a session.' : 'It concerns the whole gateway.',
    scopeText(event.scope),
  ]
  return [`#### ${event.name}`, event.summary, facts.join(' '), shapeText('Payload', event.payload)].join(
    '\n\n',
  )
}

function scopeText(scope: string | null): string {
  return scope === null ? 'Scope: none.' : `Scope: ${code(scope)}.`
}

/** Whether a field is there: for what a client sends, and for what it gets. */
const PRESENCE = { Required: ['yes', 'no'], Present: ['always', 'sometimes'] } as const

function shapeText(title: string, schema: TSchema, presence: keyof typeof PRESENCE = 'Present'): string {
  if (schema.$id !== undefined) return `${title}: ${shapeLink(schema)}.`
  const fields = fieldsOf(schema)
  return fields.length === 0 ? `${title}: none.` : `${title}:\n\n${fieldTable(fields, presence)}`
}

function fieldTable(fields: readonly Field[], presence: keyof typeof PRESENCE = 'Present'): string {
  const [yes, no] = PRESENCE[presence]
  return table(
    ['Field', 'Type', presence, 'Meaning'],
    fields.map(({ path, required, schema: field }) => [
      code(path),
      typeText(field),
      required ? yes : no,
      meaning(field),
    ]),
  )
}

function meaning(schema: TSchema): string {
  const text = schema.$id === undefined ? (schema.description ?? '') : ''
  return schema.default === undefined
    ? text
    : `${text} Default: ${code(JSON.stringify(schema.default))}.`.trim()
}

/** The shapes that the methods and events refer to by name. */
function shapeTexts(): string {
  const shapes = new Map<string, TSchema>()
  const collect = (schema: TSchema): void => {
    if (schema.$id !== undefined && !shapes.has(schema.$id)) {
      shapes.set(schema.$id, schema)
      for (const field of fieldsOf(schema)) typeText(field.schema, noted)
    } else if (KindGuard.IsObject(schema)) {
      for (const field of fieldsOf(schema)) typeText(field.schema, noted)
    }
  }
  const noted = (shape: TSchema): string => {
    collect(shape)
    return ''
  }
  for (const { params, result } of allContracts()) {
    collect(params)
    collect(result)
  }
  for (const { payload } of Object.values(EVENTS)) collect(payload)
  return [...shapes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, schema]) => {
      const description = schema.description === undefined ? [] : [schema.description]
      return [`#### ${name}`, ...description, fieldTable(fieldsOf(schema))].join('\n\n')
    })
    .join('\n\n')
}
