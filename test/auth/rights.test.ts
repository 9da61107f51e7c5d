import t from 'tap'
import { createPrincipal } from '../../src/auth/principal.js'
import { covers, grant, touchesChannel } from '../../src/auth/rights.js'
import { SCOPES } from '../../src/protocol/index.js'
import fc from '../helpers/properties.js'

/** Few letters, so that patterns and keys meet. */
const piece = fc.constantFrom('a', 'b', 'ab', ':', '*', 'a:', ':b')
const pattern = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''))
const patterns = fc.array(pattern, { maxLength: 3 })
const text = fc.array(fc.constantFrom('a', 'b', ':', 'c'), { maxLength: 4 }).map((parts) => parts.join(''))

const confinedTo = (sessions: readonly string[] | null) =>
  createPrincipal({ name: 'x', role: 'admin', scopes: SCOPES, sessions })

/** What patterns mean, said once more and otherwise. */
function matches(sessions: readonly string[], key: string): boolean {
  return sessions.some((one) =>
    new RegExp(
      `^${one
        .split('*')
        .map((part) => part.replace(/[^\w]/g, '\\$&'))
        .join('[^]*')}$`,
    ).test(key),
  )
}

/** A key that a pattern allows: something in the place of each star. */
const keyOf = (one: string) =>
  fc.array(text, { minLength: 10, maxLength: 10 }).map((fillings) => {
    let next = 0
    return one.replace(/\*/g, () => fillings[next++ % fillings.length]!)
  })

t.test('a principal sees the keys that its patterns match, and no others', (t) => {
  fc.assert(
    fc.property(patterns, text, (sessions, key) => {
      return confinedTo(sessions).allowsSession(key) === matches(sessions, key)
    }),
    { numRuns: 1_000 },
  )
  t.end()
})

t.test('whoever covers a pattern covers each key that it matches', (t) => {
  let covered = 0
  fc.assert(
    fc.property(
      patterns,
      pattern.chain((one) => fc.tuple(fc.constant(one), keyOf(one))),
      (sessions, [given, key]) => {
        const principal = confinedTo(sessions)
        if (!covers(principal, { scopes: [], sessions: [given] })) return true
        covered++
        return principal.allowsSession(key)
      },
    ),
    { numRuns: 5_000 },
  )
  t.ok(covered > 100, `${covered} were covered`)
  t.end()
})

t.test('nobody grants more than they have, whatever they ask for', (t) => {
  const scopes = fc.subarray([...SCOPES])
  fc.assert(
    fc.property(
      scopes,
      fc.option(patterns),
      scopes,
      fc.option(patterns),
      text,
      (has, own, wants, asked, key) => {
        const by = createPrincipal({ name: 'by', role: 'custom', scopes: has, sessions: own })
        try {
          const rights = grant({ scopes: wants, ...(asked === null ? {} : { sessions: asked }) }, by)
          const given = createPrincipal({ name: 'given', ...rights })
          return (
            wants.every((scope) => has.includes(scope)) &&
            (!given.allowsSession(key) || by.allowsSession(key))
          )
        } catch (error) {
          return (error as { code: string }).code === 'FORBIDDEN'
        }
      },
    ),
    { numRuns: 2_000 },
  )
  t.end()
})

t.test('without role and scopes an operator is made, and a role is only given whole', (t) => {
  const admin = confinedTo(null)
  t.strictSame(grant({}, admin), { role: 'operator', scopes: ['read', 'write'], sessions: null })
  t.strictSame(grant({ role: 'agent', sessions: ['a:*'] }, admin), {
    role: 'agent',
    scopes: ['agent'],
    sessions: ['a:*'],
  })
  const reader = createPrincipal({ name: 'r', role: 'custom', scopes: ['read', 'admin'] })
  t.throws(() => grant({ role: 'operator' }, reader), { code: 'FORBIDDEN' })
  t.end()
})

t.test('a channel is seen by whoever may see some session of it', (t) => {
  fc.assert(
    fc.property(
      patterns.chain((sessions) =>
        fc.tuple(
          fc.constant(sessions),
          sessions.length === 0 ? text : fc.constantFrom(...sessions).chain((one) => keyOf(one)),
        ),
      ),
      ([sessions, key]) => {
        const channel = key.split(':')[0]!
        if (!key.includes(':') || !matches(sessions, key)) return true
        return touchesChannel(confinedTo(sessions), channel)
      },
    ),
    { numRuns: 2_000 },
  )
  const seen = (sessions: string[] | null) => touchesChannel(confinedTo(sessions), 'telegram')
  t.strictSame([null, ['*'], ['telegram:*'], ['telegram:1:main'], ['tele*'], ['*:main'], ['*x*']].map(seen), [
    true,
    true,
    true,
    true,
    true,
    true,
    true,
  ])
  t.strictSame([[], ['telegram'], ['slack:*'], ['telegramx:*'], ['a*'], ['tele:*']].map(seen), [
    false,
    false,
    false,
    false,
    false,
    false,
  ])
  t.end()
})
