import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import type { TSchema } from '@sinclair/typebox'
import { ROLE_SCOPES } from '../../src/auth/rights.js'
import { docsFolder } from '../../src/docs/generate.js'
import { allContracts } from '../../src/docs/methods-doc.js'
import * as protocol from '../../src/protocol/index.js'
import { type JsonMap, SharedSchemas } from '../../src/published/schemas.js'

/** The pinned wire, beside this file's source: a line for each leaf, so that changes are read, and merged, line by line. */
export const SNAPSHOT = join(dirname(docsFolder()), 'test/protocol/wire.snapshot.txt')

/** Everything that goes over the wire, by its shape: texts for people are not part of it. */
export function currentWire(): JsonMap {
  const schemas = new SharedSchemas('#/shapes/')
  const frames = Object.entries(protocol).filter(([name]) =>
    /^(?:\w+Frame|WorkerDelta|WorkerReport)$/.test(name),
  )
  for (const [, schema] of frames) schemas.of(schema as unknown as TSchema)
  const methods: JsonMap = {}
  for (const { name, scope, session, large = false, params, result } of allContracts())
    methods[name] = { scope, session, large, params: schemas.of(params), result: schemas.of(result) }
  const events: JsonMap = {}
  for (const { name, scope, session, durable, payload } of Object.values(protocol.EVENTS))
    events[name] = { scope, session, durable, payload: schemas.of(payload) }
  const wire = {
    protocol: protocol.PROTOCOL_VERSION,
    frames: frames.map(([name]) => name).sort(),
    methods,
    events,
    errors: protocol.ERROR_CODES,
    closeCodes: protocol.CLOSE,
    roles: ROLE_SCOPES,
    shapes: schemas.all,
  }
  return JSON.parse(JSON.stringify(wire, withoutTexts)) as JsonMap
}

function withoutTexts(this: unknown, key: string, value: unknown): unknown {
  return key === 'description' && typeof value === 'string' ? undefined : value
}

export function wireText(): string {
  return `${leavesOf(currentWire()).join('\n')}\n`
}

/** Each leaf as `path: value`. */
export function leavesOf(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [`${path}: ${JSON.stringify(value)}`]
  const entries = Object.entries(value)
  if (entries.length === 0) return [`${path}: ${JSON.stringify(value)}`]
  return entries.flatMap(([key, child]) => leavesOf(child, path === '' ? key : `${path}/${key}`))
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(SNAPSHOT, wireText())
  console.log(`written: ${SNAPSHOT}`)
}
