import type { Test } from 'tap'
import { ANONYMOUS } from '../../src/auth/principal.js'
import type { Journal } from '../../src/journal/journal.js'
import { GatewayError } from '../../src/protocol/index.js'
import { Scheduler, type SchedulerOptions } from '../../src/scheduler/scheduler.js'
import { ManualClock } from './manual-clock.js'
import { startScripted } from './scripted-agent.js'
import { ScriptedChannel } from './scripted-channel.js'
import type { Frame } from './socket.js'

export const EVERY_MINUTE = { everyMs: 60_000 }
export const TURN = { kind: 'agentTurn', message: 'work' } as const

/** A gateway with a scripted agent and a channel `chat`, and a scheduler in it whose clock is the test's. */
export async function startScheduled(
  t: Test,
  now: string | number,
  limits: Partial<SchedulerOptions['limits']> = {},
  ...[overrides = {}, options = {}]: [
    Parameters<typeof startScripted>[1]?,
    Parameters<typeof startScripted>[2]?,
  ]
) {
  const channel = new ScriptedChannel('chat')
  const running = await startScripted(t, overrides, {
    ...options,
    prepare: async (app) => app.deliverer.attach(channel),
  })
  const { app } = running
  const clock = new ManualClock(now)
  let isStopping = false
  let journal: Journal = app.journal
  const create = () =>
    new Scheduler({
      limits: {
        maxJobs: 100,
        maxRunsKept: 50,
        runRetentionMs: 604_800_000,
        misfireGraceMs: 60_000,
        maxCatchUp: 10,
        maxQueued: 3,
        ...limits,
      },
      journal,
      log: app.log,
      clock,
      accept: (incoming, principal) => app.intake.accept(incoming, principal),
      outcome: (runId, signal) => app.outcomes.wait(runId, signal, () => true),
      abort: (runId, reason, signal) => app.lanes.abortRun(runId, reason, () => true, signal),
      isStopping: () => isStopping,
      requireAgent: (name) => {
        if (app.agents.get(name) === undefined) throw new GatewayError('NOT_FOUND', 'no such agent')
      },
      requireChannel: (name) => {
        if (!app.deliverer.isChannel(name)) throw new GatewayError('NOT_LINKED', 'no such channel')
      },
      observe: () => {},
    })
  let scheduler = create()
  await scheduler.load()
  scheduler.start()
  t.teardown(() => scheduler.stop())
  const socket = await running.connect({ subscribe: ['cron.*', 'session.message'] })
  const stop = async () => {
    isStopping = true
    await scheduler.stop()
  }
  const start = async () => {
    isStopping = false
    scheduler = create()
    await scheduler.load()
    scheduler.start()
  }
  return {
    ...running,
    channel,
    clock,
    socket,
    scheduler,
    /** That after the last restart. */
    current: () => scheduler,
    add: (params: Parameters<Scheduler['add']>[2], sessionKey: string | null = 'web:1:main') =>
      scheduler.add(ANONYMOUS, sessionKey, params),
    runsOf: async (jobId: string) => (await scheduler.runs(ANONYMOUS, { jobId })).runs,
    jobs: () => scheduler.list(ANONYMOUS, null, {}).jobs,
    stop,
    start,
    restart: async () => {
      await stop()
      await start()
    },
    /** The next schedulers write to this one. */
    useJournal: (other: Journal) => {
      journal = other
    },
    fired: (count: number): Promise<Frame[]> => socket.all(count, (frame) => frame.event === 'cron.fired'),
    finished: (count: number): Promise<Frame[]> =>
      socket.all(count, (frame) => frame.event === 'cron.finished'),
  }
}
