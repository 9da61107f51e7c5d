import t from 'tap'
import { Lane, type Task } from '../../src/lanes/lane.js'
import fc from '../helpers/properties.js'

type Rank = Task['rank']

const newTask = (rank: Rank): Task => ({ rank, bytes: 1, sender: null, next: null })

const rank = fc.constantFrom<Rank[]>(0, 1, 2)
const step = fc.oneof(
  fc.record({ do: fc.constant('push' as const), rank }),
  fc.record({ do: fc.constant('shift' as const) }),
  fc.record({ do: fc.constant('putBack' as const) }),
  fc.record({ do: fc.constant('remove' as const), rank }),
)

t.test('what is ahead of a task is what the queue holds, whatever was done to it', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const lane = new Lane<Task>('test:1:main')
      for (const action of steps) {
        if (action.do === 'push') lane.push(newTask(action.rank))
        else if (action.do === 'remove') lane.remove((task) => task.rank === action.rank)
        else if (action.do === 'shift') lane.running = lane.shift() ?? lane.running
        else if (lane.running !== null) {
          lane.putBack(lane.running)
          lane.running = null
        }
        const queued = [...lane].map((task) => task.rank)
        t.strictSame(queued, [...queued].sort(), 'most urgent first')
        const running = lane.running === null ? 0 : 1
        for (const urgency of [0, 1, 2] as const) {
          t.equal(lane.ahead(urgency), running + queued.filter((other) => other <= urgency).length)
        }
        t.equal(lane.waiting, queued.length)
      }
    }),
    { numRuns: 50 },
  )
})
