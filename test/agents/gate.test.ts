import t from 'tap'
import { createGate, Gate, type GateLimits } from '../../src/agents/gate.js'
import { until } from '../helpers/until.js'

/** Comes to ask when it is called, as a lane does; `onCall` decides what it does then. */
class Asker {
  coming = false
  calls = 0
  pass: { probe: boolean } | null = null

  constructor(
    readonly gate: Gate,
    readonly sender = 'me',
    readonly onCall: 'enter' | 'decline' | 'stay away' = 'enter',
  ) {}

  /** Whether it has entered; else it waits. */
  ask(): boolean {
    this.coming = false
    if (this.gate.admits(this)) this.pass = this.gate.enter()
    else {
      const asker = this
      this.gate.wait(this, this.sender, {
        wake: () => {
          this.calls++
          if (this.onCall === 'decline') return false
          this.coming = this.onCall === 'enter'
          if (this.coming) queueMicrotask(() => this.ask())
          return true
        },
        get coming() {
          return asker.coming
        },
      })
    }
    return this.pass !== null
  }

  leave(verdict: Parameters<Gate['leave']>[1] = 'up'): void {
    this.gate.leave(this.pass!, verdict)
    this.pass = null
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

function gateOf(limits: GateLimits): Gate {
  const gate = createGate(limits)!
  t.teardown(() => gate.close())
  return gate
}

t.test('where nothing limits an agent there is no gate', async (t) => {
  t.equal(createGate({}), undefined)
  t.ok(createGate({ concurrency: 1 }) instanceof Gate)
})

t.test('lets so many in at the same time; the others are called in order, each once', async (t) => {
  const gate = gateOf({ concurrency: 2 })
  const askers = Array.from({ length: 6 }, () => new Asker(gate))
  t.same(
    askers.map((asker) => asker.ask()),
    [true, true, false, false, false, false],
  )
  t.equal(gate.waiting, 4)
  t.notOk(new Asker(gate).gate.admits({}), 'nobody overtakes')
  askers[0]!.leave()
  await turn()
  t.same(
    askers.map(({ pass }) => pass !== null),
    [false, true, true, false, false, false],
  )
  askers[1]!.leave()
  askers[2]!.leave()
  await turn()
  t.same(
    askers.map(({ pass }) => pass !== null),
    [false, false, false, true, true, false],
  )
  t.same(
    askers.map(({ calls }) => calls),
    [0, 0, 1, 1, 1, 0],
  )
})

t.test('who has many waiting does not keep others from their turn', async (t) => {
  const gate = gateOf({ concurrency: 1 })
  const first = new Asker(gate)
  first.ask()
  const flood = Array.from({ length: 10 }, () => new Asker(gate, 'flood'))
  for (const asker of flood) asker.ask()
  const other = new Asker(gate, 'other')
  other.ask()
  first.leave()
  await turn()
  flood[0]!.leave()
  await turn()
  t.ok(other.pass)
})

t.test('who does not want to any more, or does not come, leaves its place to the next', async (t) => {
  const gate = gateOf({ concurrency: 1 })
  const first = new Asker(gate)
  first.ask()
  const gone = new Asker(gate)
  gone.ask()
  gate.forget(gone, gone.sender)
  const declining = new Asker(gate, 'me', 'decline')
  const absent = new Asker(gate, 'me', 'stay away')
  const next = new Asker(gate)
  for (const asker of [declining, absent, next]) asker.ask()
  first.leave()
  t.same([gone.calls, declining.calls, absent.calls], [0, 1, 1])
  t.equal(next.pass, null)
  await until(() => next.pass !== null)
})

t.test('who was admitted and does not enter says so, and the next one is called', async (t) => {
  const gate = gateOf({ concurrency: 1 })
  const first = new Asker(gate)
  first.ask()
  const next = new Asker(gate)
  next.ask()
  gate.leave(first.pass!, 'unknown')
  const key = {}
  t.notOk(gate.admits(key))
  await turn()
  t.ok(next.pass)
  next.leave()
  t.ok(gate.admits(key))
  gate.callNext()
})

t.test('an agent’s own capacity counts, and who waits is called when it says so', async (t) => {
  let free = 0
  let tell = () => {}
  const gate = gateOf({
    capacity: {
      get free() {
        return free
      },
      onFree: (listener) => {
        tell = listener
      },
    },
  })
  const asker = new Asker(gate)
  t.notOk(asker.ask())
  free = 1
  tell()
  await turn()
  t.ok(asker.pass)
})

t.test('while the breaker is open nobody enters; then one at a time, until the first success', async (t) => {
  const gate = gateOf({ concurrency: 5, breaker: { failures: 2, openMs: 1, maxWaitMs: 1_000 } })
  const askers = Array.from({ length: 4 }, () => new Asker(gate))
  for (const asker of askers.slice(0, 2)) asker.ask()
  for (const asker of askers.slice(0, 2)) asker.leave('down')
  t.equal(gate.breaker!.state, 'open')
  for (const asker of askers) t.notOk(asker.ask())
  await until(() => askers[0]!.pass !== null)
  t.same(
    askers.map(({ pass }) => pass),
    [{ probe: true }, null, null, null],
  )
  askers[0]!.leave('down')
  t.equal(gate.breaker!.state, 'open')
  await until(() => askers[1]!.pass !== null)
  askers[1]!.leave('unknown')
  await until(() => askers[2]!.pass !== null)
  t.equal(gate.breaker!.state, 'half-open', 'an end that says nothing decides nothing')
  t.equal(askers[3]!.pass, null)
  askers[2]!.leave('up')
  t.equal(gate.breaker!.state, 'closed')
  await turn()
  t.same(askers[3]!.pass, { probe: false })
})
