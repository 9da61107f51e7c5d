import t from 'tap'
import { DueQueue } from '../../src/scheduler/due-queue.js'
import fc from '../helpers/properties.js'

t.test('ids come out when they are due, by the time that was set last', async (t) => {
  const step = fc.oneof(
    fc.record({ set: fc.nat(20), at: fc.nat(100) }),
    fc.record({ delete: fc.nat(20) }),
    fc.record({ take: fc.nat(120) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const queue = new DueQueue()
      const model = new Map<string, number>()
      for (const it of steps) {
        if ('set' in it) {
          queue.set(`${it.set}`, it.at)
          model.set(`${it.set}`, it.at)
        } else if ('delete' in it) {
          queue.delete(`${it.delete}`)
          model.delete(`${it.delete}`)
        } else {
          const id = queue.take(it.take)
          const first = Math.min(...model.values())
          if (id === null ? first <= it.take : model.get(id) !== first || first > it.take) return false
          if (id !== null) model.delete(id)
        }
        if (queue.size !== model.size) return false
        if ((queue.next ?? Number.POSITIVE_INFINITY) !== Math.min(...model.values())) return false
      }
      return true
    }),
  )
  t.pass()
})
