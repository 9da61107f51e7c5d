import t from 'tap'
import { Lane, type Task } from '../../src/lanes/lane.js'
import { ReadyList, Sender } from '../../src/lanes/ready-list.js'
import fc from '../helpers/properties.js'

class Queued implements Task {
  next: Task | null = null
  readonly rank = 0
  readonly bytes = 0
  constructor(readonly sender: Sender | null) {}
}

const senders = [new Sender('a'), new Sender('b'), new Sender('c'), null]

function laneOf(index: number, name: string): Lane<Queued> {
  const lane = new Lane<Queued>(name)
  lane.push(new Queued(senders[index]!))
  return lane
}

t.test(
  'between two turns of a sender each other one that waits has one; the lanes of each keep their order',
  async (t) => {
    const step = fc.option(fc.nat(senders.length - 1), { freq: 2 })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const list = new ReadyList<Queued>()
        /** What waits, by sender, and the senders in the order of their next turns. */
        const waiting = senders.map((): string[] => [])
        const turns: number[] = []
        for (const [i, sender] of [...steps, ...steps.map(() => null)].entries()) {
          if (sender !== null) {
            if (waiting[sender]!.push(`lane${i}`) === 1) turns.push(sender)
            list.push(laneOf(sender, `lane${i}`))
            continue
          }
          const next = turns.shift()
          const expected = next === undefined ? undefined : waiting[next]!.shift()
          if (next !== undefined && waiting[next]!.length > 0) turns.push(next)
          if (list.shift()?.key !== expected) return false
        }
        return list.empty
      }),
    )
    t.pass()
  },
)

t.test('a lane whose task goes on waits among those of who sent it', async (t) => {
  const list = new ReadyList<Queued>()
  const resuming = laneOf(0, 'resuming')
  resuming.running = resuming.shift()
  resuming.push(new Queued(senders[1]!))
  list.push(laneOf(0, 'a'))
  list.push(resuming)
  list.push(laneOf(1, 'b'))
  t.same([list.shift()!.key, list.shift()!.key, list.shift()!.key], ['a', 'b', 'resuming'])
})
