import fc from './properties.js'

const poison = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'type',
  'id',
  'params',
  'sessionKey',
)
/** Values of any shape, some of them meaningful where they do not belong. */
export const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(
    'request',
    'cancel',
    'event',
    'hello',
    '',
    null,
    -1,
    1e308,
    [],
    {},
    [[]],
    '\u0000',
    '\ud800',
  ),
  fc.nat(300).map((n) => 'x'.repeat(n)),
)

export type Mutation = { kind: number; at: number; key: string; value: unknown }
export const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.nat(6),
  at: fc.nat(),
  key: poison,
  value: junk,
})

/** A random object inside `value`, or `value` itself. */
function somewhere(value: unknown, at: number): Record<string, unknown> | null {
  const found: Record<string, unknown>[] = []
  const visit = (node: unknown) => {
    if (typeof node !== 'object' || node === null) return
    if (!Array.isArray(node)) found.push(node as Record<string, unknown>)
    for (const child of Object.values(node)) visit(child)
  }
  visit(value)
  return found[at % found.length] ?? null
}

/** The text of a frame with some of it broken. */
export function mutate(frame: unknown, mutations: readonly Mutation[]): string {
  const copy = JSON.parse(JSON.stringify(frame)) as unknown
  let text: string | null = null
  for (const { kind, at, key, value: given } of mutations) {
    // Constants are shared: one that was put into itself would have no end.
    const value = structuredClone(given)
    const target = somewhere(copy, at)
    if (target === null) continue
    const keys = Object.keys(target)
    const some = keys[at % Math.max(1, keys.length)] ?? key
    if (kind === 0) delete target[some]
    else if (kind === 1) target[some] = value
    else if (kind === 2)
      Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
    else if (kind === 3) text = JSON.stringify(value)
    else if (kind === 4) text = JSON.stringify(copy).slice(0, at % 200)
    else if (kind === 5) text = JSON.stringify([copy])
    else text = JSON.stringify(copy).replace(/[":,{]/g, (c, i: number) => (i % 7 === at % 7 ? '' : c))
  }
  return text ?? JSON.stringify(copy)
}

export interface Sent {
  /** The id that the gateway can read; null: none. */
  id: string | null
  /** How often it is answered under that id: at least, at most. */
  answers: [number, number]
}

/** What the protocol promises for this text. */
export function expectation(text: string): Sent {
  let frame: Record<string, unknown>
  try {
    frame = JSON.parse(text)
  } catch {
    return { id: null, answers: [0, 0] }
  }
  const { id, type } = frame ?? {}
  if (
    typeof frame !== 'object' ||
    Array.isArray(frame) ||
    typeof id !== 'string' ||
    id === '' ||
    id.length > 128
  ) {
    return { id: null, answers: [0, 0] }
  }
  if (type === 'cancel') return { id, answers: [0, 0] }
  return { id, answers: type === 'event' ? [0, 1] : [1, 1] }
}
