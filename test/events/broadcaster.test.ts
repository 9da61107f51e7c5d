import t from 'tap'
import { createPrincipal, type Principal } from '../../src/auth/principal.js'
import { Broadcaster, EVERYTHING, type Subscriber } from '../../src/events/broadcaster.js'
import { maySee } from '../../src/events/groups.js'
import fc from '../helpers/properties.js'

class Listener implements Subscriber {
  received = 0

  constructor(readonly principal: Principal) {}

  sendEvent(): void {
    this.received++
  }
}

const confinedTo = (sessions: readonly string[] | null): Principal =>
  createPrincipal({ name: 'x', role: 'viewer', scopes: ['read'], sessions })

const happen = (broadcaster: Broadcaster, sessionKey: string | null, event = 'session.created') =>
  broadcaster.broadcast({ event, sessionKey, at: 0, payload: '{}', seq: 1 })

t.test('an event costs those nothing who may not see it, however many they are', async (t) => {
  const broadcaster = new Broadcaster()
  let asked = 0
  const listeners = Array.from({ length: 1_000 }, (_, i) => {
    const principal = confinedTo([`web:user${i}:*`])
    const allowsSession = (key: string) => {
      asked++
      return principal.allowsSession(key)
    }
    return new Listener({ ...principal, allowsSession })
  })
  for (const listener of listeners) broadcaster.subscribe(listener, [EVERYTHING])
  happen(broadcaster, 'web:user7:main')
  t.same(
    listeners.filter(({ received }) => received > 0),
    [listeners[7]],
  )
  t.equal(asked, 1)
  broadcaster.unsubscribe(listeners[7]!)
  happen(broadcaster, 'web:user7:main')
  t.equal(asked, 1)
  t.equal(listeners[7]!.received, 1)
})

t.test(
  'whoever wants and may see an event gets it once, and nobody else, whoever comes and goes',
  async () => {
    const segment = fc.constantFrom('a', 'b', 'ab', '')
    const key = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(':') || 'a')
    const pattern = fc
      .array(fc.constantFrom('a', 'b', ':', '*'), { minLength: 1, maxLength: 6 })
      .map((parts) => parts.join(''))
    const sessions = fc.option(fc.array(pattern, { maxLength: 3 }))
    const step = fc.oneof(
      fc.record({ come: sessions }),
      fc.record({ go: fc.nat(9) }),
      fc.record({
        key: fc.option(key),
        event: fc.constantFrom('session.created', 'gateway.shutdown', 'made.up'),
      }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const broadcaster = new Broadcaster()
        const there: Listener[] = []
        for (const step of steps) {
          if ('come' in step) {
            const listener = new Listener(confinedTo(step.come))
            there.push(listener)
            broadcaster.subscribe(listener, [EVERYTHING])
          } else if ('go' in step) {
            for (const gone of there.splice(step.go, 1)) broadcaster.unsubscribe(gone)
          } else {
            const expected = there.map(
              ({ principal, received }) => received + Number(maySee(principal, step.event, step.key)),
            )
            happen(broadcaster, step.key, step.event)
            const got = there.map(({ received }) => received)
            if (String(got) !== String(expected)) throw new Error(`${got} instead of ${expected}`)
          }
        }
      }),
      { numRuns: 500 },
    )
  },
)
