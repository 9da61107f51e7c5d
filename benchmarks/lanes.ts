import { LaneDispatcher } from '../src/lanes/dispatcher.js'
import type { Task } from '../src/lanes/lane.js'
import type { Sender } from '../src/lanes/ready-list.js'
import { printTable } from './table.js'

const TASKS = 1_000_000
const WAVE = 1_000

class NoOp implements Task {
  next: Task | null = null
  readonly rank = 0
  readonly bytes = 0

  constructor(readonly sender: Sender) {}
}

function createDispatcher() {
  const dispatcher: LaneDispatcher<NoOp> = new LaneDispatcher<NoOp>({
    capacity: Number.MAX_SAFE_INTEGER,
    maxPending: Number.MAX_SAFE_INTEGER,
    maxPendingBytes: Number.MAX_SAFE_INTEGER,
    concurrency: 64,
    run: (_task, lane) => {
      // A run ends in a later turn: in waves, when the wave is in.
      ended.push(lane)
    },
  })
  const ended: Parameters<(typeof dispatcher)['done']>[0][] = []
  const finish = () => {
    for (let lane = ended.pop(); lane !== undefined; lane = ended.pop()) dispatcher.done(lane)
  }
  return { dispatcher, finish }
}

/** Nanoseconds a task, all told: admission, queueing, dispatch and end. */
function measure(keys: number, wave: number): number {
  const { dispatcher, finish } = createDispatcher()
  const names = Array.from({ length: keys }, (_, i) => `session:${i}`)
  const start = process.hrtime.bigint()
  for (let sent = 0; sent < TASKS; ) {
    for (const end = Math.min(sent + wave, TASKS); sent < end; sent++) {
      const name = names[sent % keys]!
      const task = new NoOp(dispatcher.sender('bench'))
      dispatcher.enqueue(dispatcher.admit(name, task), task)
    }
    finish()
  }
  const elapsed = Number(process.hrtime.bigint() - start)
  if (dispatcher.size !== 0 || dispatcher.pending !== 0) throw new Error('an idle lane was kept')
  return elapsed / TASKS
}

const best = (run: () => number) => Math.min(run(), run(), run())

printTable(
  `Lanes: ${TASKS.toLocaleString('en')} tasks, ns a task (best of 3)`,
  ['lanes', 'in waves', 'all queued at once'],
  [1, 1_000, 100_000].map((keys) => [
    keys.toLocaleString('en'),
    best(() => measure(keys, WAVE)).toFixed(0),
    best(() => measure(keys, TASKS)).toFixed(0),
  ]),
)
