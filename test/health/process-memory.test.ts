import { spawnSync } from 'node:child_process'
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import t from 'tap'
import { collectGarbage, heapLimit, memoryBounds, readMemory } from '../../src/health/process-memory.js'

const MIB = 1_048_576

t.test('the heap’s limit is what V8 was told, or else its own', async (t) => {
  const own = getHeapStatistics().heap_size_limit
  t.equal(heapLimit([], ''), own)
  t.equal(heapLimit(['--max-old-space-size=64'], ''), 64 * MIB)
  t.equal(heapLimit([], '--enable-source-maps --max_old_space_size=64 --no-warnings'), 64 * MIB)
  t.equal(
    heapLimit(['--max-old-space-size', '32'], '--max-old-space-size=64'),
    32 * MIB,
    'the last one counts',
  )
  t.equal(heapLimit(['--max-old-space-size=100000000'], ''), own, 'and never more than there is')
})

t.test('a process with a small heap fails above the watermark, not below it', (t) => {
  const script = `
    import { heapLimit, readMemory } from ${JSON.stringify(new URL('../../src/health/process-memory.js', import.meta.url).href)}
    const kept = []
    let told = false
    for (;;) {
      for (let i = 0; i < 100; i++) kept.push(String(kept.length) + Buffer.alloc(2000, 'x').toString('latin1'))
      if (!told && readMemory().heap > heapLimit() * 0.85) {
        told = true
        process.stdout.write('over')
      }
    }`
  const { stdout, status } = spawnSync(
    process.execPath,
    ['--max-old-space-size=64', '--input-type=module', '--eval', script],
    { encoding: 'utf8' },
  )
  t.not(status, 0)
  t.equal(stdout, 'over')
  t.end()
})

t.test('the process is bounded as configured, or by the memory that it may take', async (t) => {
  const bounds = (maxRssBytes: number) => memoryBounds({ maxRssBytes, maxHeapPercent: 50 })
  t.equal(bounds(123_456).rss, 123_456)
  t.equal(bounds(0).heap, heapLimit() / 2)
  t.ok(bounds(0).rss > 0 && bounds(0).rss <= totalmem() * 0.85)
})

t.test('memory is read in bytes, and garbage can be collected', async (t) => {
  let garbage: unknown[] | null = Array.from({ length: 1_000_000 }, () => ({}))
  const { rss, heap } = readMemory()
  t.ok(rss > heap && heap > garbage.length * 8)
  garbage = null
  collectGarbage()
  t.ok(readMemory().heap < heap - 8_000_000)
})
