import t from 'tap'
import { MemoryWatermark } from '../../src/health/memory-watermark.js'

const MIB = 1_048_576

/** A process whose memory is what the test says; bounds 1,000 and 100 MiB, a collection after 10 s. */
function setUp() {
  const memory = { rss: 0, heap: 0 }
  const changes: (string | null)[] = []
  let collections = 0
  let onCollect = () => {}
  const watermark = new MemoryWatermark({
    bounds: { rss: 1_000 * MIB, heap: 100 * MIB },
    collectAfterMs: 10_000,
    read: () => ({ rss: memory.rss * MIB, heap: memory.heap * MIB }),
    collect: () => {
      collections++
      onCollect()
    },
    onChange: (over) => changes.push(over),
  })
  return {
    watermark,
    memory,
    changes,
    collections: () => collections,
    onCollect: (hook: () => void) => {
      onCollect = hook
    },
  }
}

t.test('memory past a bound is over it until it is clearly below', async (t) => {
  const { watermark, memory, changes } = setUp()
  watermark.sample(0)
  t.equal(watermark.over, null)
  t.same(watermark.health(), { status: 'ok' })
  memory.heap = 101
  watermark.sample(1)
  t.equal(watermark.over, 'heap')
  t.match(watermark.health(), { status: 'failing', message: 'the heap holds more than 100 MiB' })
  memory.heap = 96
  watermark.sample(2)
  t.equal(watermark.over, 'heap', 'just below is not enough')
  memory.heap = 94
  watermark.sample(3)
  t.equal(watermark.over, null)
  memory.heap = 99
  watermark.sample(4)
  t.equal(watermark.over, null, 'from below the bound itself counts')
  t.same(changes, ['heap', null])
})

t.test('each bound counts for itself', async (t) => {
  const { watermark, memory, changes } = setUp()
  memory.rss = 1_001
  watermark.sample(0)
  t.equal(watermark.over, 'rss')
  t.match(watermark.health(), { status: 'failing', message: 'the process takes more than 1000 MiB' })
  memory.heap = 101
  watermark.sample(1)
  t.equal(watermark.over, 'heap')
  memory.heap = 10
  watermark.sample(2)
  t.equal(watermark.over, 'rss')
  memory.rss = 900
  watermark.sample(3)
  t.same(changes, ['rss', 'heap', 'rss', null])
})

t.test('memory that stays past a bound is collected now and then, in case it is garbage', async (t) => {
  const { watermark, memory, collections, onCollect } = setUp()
  watermark.sample(0)
  memory.heap = 101
  watermark.sample(5_000)
  watermark.sample(14_999)
  t.equal(collections(), 0, 'V8 has its time to do so itself')
  watermark.sample(15_000)
  t.equal(collections(), 1)
  t.equal(watermark.over, 'heap', 'it was in use')
  watermark.sample(24_999)
  t.equal(collections(), 1)
  onCollect(() => {
    memory.heap = 50
  })
  watermark.sample(25_000)
  t.equal(collections(), 2)
  t.equal(watermark.over, null, 'looked at anew at once')
  watermark.sample(60_000)
  t.equal(collections(), 2)
})

t.test('a burst between two looks is looked at by its bytes', async (t) => {
  const { watermark, memory } = setUp()
  watermark.sample(0)
  memory.heap = 101
  t.ok(watermark.hasRoom(MIB / 2, 1), 'not looked at for each small event')
  t.notOk(watermark.hasRoom(MIB / 2, 1))
  memory.heap = 50
  t.notOk(watermark.hasRoom(1, 2))
  t.ok(watermark.hasRoom(MIB, 3))
})
