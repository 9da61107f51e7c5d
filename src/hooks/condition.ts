import { found } from '../config/expectation.js'
import { didYouMean } from '../config/suggest.js'
import { valueAt } from '../connectors/template.js'
import { compilePattern } from '../protocol/pattern.js'

/** Whether a rule is for this event, as JSON. */
export type Condition = (view: Readonly<Record<string, unknown>>) => boolean

type Test = (value: unknown) => boolean
type Scalar = string | number | boolean | null

/** What stands in a condition, with the key at which it is wrong. */
export class ConditionError extends Error {
  constructor(
    readonly key: string | null,
    message: string,
  ) {
    super(message)
  }
}

interface Operator {
  readonly expected: string
  /** Null: the operand is of another kind. */
  make(operand: unknown): Test | null
}

const text = (make: (operand: string) => (value: string) => boolean): Operator['make'] => {
  return (operand) => {
    if (typeof operand !== 'string') return null
    const test = make(operand)
    return (value) => typeof value === 'string' && test(value)
  }
}

const number = (compare: (value: number, operand: number) => boolean): Operator['make'] => {
  return (operand) => {
    if (typeof operand !== 'number') return null
    return (value) => typeof value === 'number' && compare(value, operand)
  }
}

const scalars = (make: (operands: readonly Scalar[]) => Test): Operator['make'] => {
  return (operand) => (Array.isArray(operand) && operand.every(isScalar) ? make(operand) : null)
}

const OPERATORS: Readonly<Record<string, Operator>> = {
  equals: {
    expected: 'text, a number, true, false or null',
    make: (operand) => (isScalar(operand) ? (value) => (value ?? null) === operand : null),
  },
  not: {
    expected: 'text, a number, true, false or null',
    make: (operand) => (isScalar(operand) ? (value) => (value ?? null) !== operand : null),
  },
  in: {
    expected: 'a list of text and numbers',
    make: scalars((operands) => (value) => operands.includes((value ?? null) as Scalar)),
  },
  matches: { expected: 'a pattern such as telegram:*', make: text(compilePattern) },
  contains: { expected: 'text', make: text((part) => (value) => value.includes(part)) },
  above: { expected: 'a number', make: number((value, operand) => value > operand) },
  below: { expected: 'a number', make: number((value, operand) => value < operand) },
  exists: {
    expected: 'true or false',
    make: (operand) =>
      typeof operand === 'boolean' ? (value) => (value !== undefined && value !== null) === operand : null,
  },
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value)
}

/**
 * Compares one field: with a value, or by operators that must all hold.
 *
 * @param field a dotted path such as `event.payload.content`
 * @throws ConditionError
 */
export function compileCondition(field: string, wanted: unknown): Condition {
  const tests = testsOf(wanted)
  return (view) => {
    const value = valueAt(view, field)
    return tests.every((test) => test(value))
  }
}

function testsOf(wanted: unknown): Test[] {
  const known = Object.keys(OPERATORS)
  if (isScalar(wanted)) return [OPERATORS.equals!.make(wanted)!]
  if (typeof wanted !== 'object' || Array.isArray(wanted) || Object.keys(wanted as object).length === 0) {
    const message = `expected a value, or keys and values of ${known.join(', ')}, found ${found(wanted, false)}`
    throw new ConditionError(null, message)
  }
  return Object.entries(wanted as object).map(([key, operand]) => {
    const operator = Object.hasOwn(OPERATORS, key) ? OPERATORS[key]! : null
    if (operator === null) {
      const hint = didYouMean(key, known) || `; known: ${known.join(', ')}`
      throw new ConditionError(key, `unknown comparison${hint}`)
    }
    const test = operator.make(operand)
    if (test !== null) return test
    throw new ConditionError(key, `expected ${operator.expected}, found ${found(operand, false)}`)
  })
}
