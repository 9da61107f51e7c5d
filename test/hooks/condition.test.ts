import t from 'tap'
import type { Problem } from '../../src/config/problems.js'
import type { RuleHost } from '../../src/hooks/actions.js'
import { compileCondition } from '../../src/hooks/condition.js'
import { createRules } from '../../src/hooks/rules.js'
import fc from '../helpers/properties.js'

const VIEW = {
  name: 'agent:failed',
  attempt: 3,
  ok: false,
  gone: null,
  event: { payload: { content: 'hello' } },
}

t.test('a field is compared with a value, or by operators that must all hold', async (t) => {
  const cases: [string, unknown, boolean][] = [
    ['name', 'agent:failed', true],
    ['name', 'agent:', false],
    ['attempt', 3, true],
    ['attempt', '3', false],
    ['ok', false, true],
    ['gone', null, true],
    ['not.there', null, true],
    ['event.payload.content', { equals: 'hello' }, true],
    ['event.payload.content', { not: 'hello' }, false],
    ['not.there', { not: 'hello' }, true],
    ['event.payload.content', { in: ['x', 'hello'] }, true],
    ['attempt', { in: [1, 2] }, false],
    ['name', { matches: 'agent:*' }, true],
    ['attempt', { matches: '*' }, false],
    ['event.payload.content', { contains: 'ell' }, true],
    ['attempt', { above: 2, below: 4 }, true],
    ['attempt', { above: 2, below: 3 }, false],
    ['name', { above: 2 }, false],
    ['not.there', { exists: false }, true],
    ['gone', { exists: true }, false],
    ['event.constructor', { exists: true }, false],
  ]
  for (const [field, wanted, expected] of cases) {
    t.equal(compileCondition(field, wanted)(VIEW), expected, `${field} ${JSON.stringify(wanted)}`)
  }
})

t.test('what is no comparison is told', async (t) => {
  t.throws(() => compileCondition('x', {}), { message: /^expected a value, or keys and values of equals/ })
  t.throws(() => compileCondition('x', ['a']), { message: /^expected a value, or keys and values of equals/ })
  t.throws(() => compileCondition('x', { abov: 1 }), { message: /did you mean 'above'/, key: 'abov' })
  t.throws(() => compileCondition('x', { matches: 1 }), { message: /^expected a pattern.*, found 1$/ })
  t.throws(() => compileCondition('x', { in: 'a' }), { message: /^expected a list of text/ })
})

t.test('whatever stands in hooks.yaml, it makes rules or problems, and never both', async (t) => {
  const host = {
    env: {},
    isChannel: () => false,
    say: async () => {},
    deliver: async () => {},
  } satisfies RuleHost
  const layer = (value: object) => ({ value: value as never, source: () => 'hooks.yaml' })
  const some = <T>(...values: T[]) => fc.oneof(fc.constantFrom(...values), fc.jsonValue())
  const rule = fc.record(
    {
      name: some('a', 'b', 'c'),
      on: some<unknown>('agent:*', '*', ['command:new'], 'nothing'),
      when: some<unknown>({ name: 'x' }, { 'event.x': { above: 1 } }, { name: { like: 1 } }),
      priority: some(1, -1),
      log: some({ text: '{{name}}' }, { text: '{{' }),
      webhook: some({ url: 'http://x' }, { urlEnv: 'X' }),
      message: some({ sessionKey: 'a', text: 'x' }, { channel: 'x', peer: 'x', text: 'x' }),
    },
    { requiredKeys: ['name', 'on'] },
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(rule, fc.jsonValue()), { maxLength: 3 }), (hooks) => {
      const problems: Problem[] = []
      const rules = createRules(layer({ hooks }), host, problems)
      return problems.length > 0 || rules.length === hooks.length
    }),
    { numRuns: 500 },
  )
  t.pass()
})
