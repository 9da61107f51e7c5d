import fp from 'fastify-plugin'
import type { LiveConfig } from '../src/config/live.js'
import type { Config } from '../src/config/schema.js'
import { LaneDispatcher } from '../src/lanes/dispatcher.js'
import { Intake } from '../src/lanes/intake.js'
import { oldestAt } from '../src/lanes/lane-report.js'
import { Lanes } from '../src/lanes/lanes.js'
import { Outcomes } from '../src/lanes/outcomes.js'
import { Questions } from '../src/lanes/questions.js'
import type { QueuedEvent } from '../src/lanes/queued-event.js'
import { Runner, type RunnerOptions } from '../src/lanes/runner.js'
import { boundedEventLabels, type Instruments } from '../src/metrics/instruments.js'
import { EVENTS, GatewayError } from '../src/protocol/index.js'
import { Conversations } from '../src/sessions/conversations.js'
import { SessionExpiry } from '../src/sessions/expiry.js'
import { Router } from '../src/sessions/routing.js'
import { Sessions } from '../src/sessions/sessions.js'

declare module 'fastify' {
  interface FastifyInstance {
    lanes: Lanes
    sessions: Sessions
    conversations: Conversations
    intake: Intake
    outcomes: Outcomes
    /** What agents ask and nobody has answered yet. */
    questions: Questions
  }
}

export interface LanesPluginOptions {
  config: Config
  live: LiveConfig
}

/** Runs each session's events one at a time, in order; drains them before the sockets close. */
export default fp<LanesPluginOptions>(
  async (app, { config, live }) => {
    const { journal, events: broadcaster, hooks, agents, tracing, log } = app
    const { instruments } = app.metrics
    // It comes after the lanes, so that it stops after them.
    const isChannel = (name: string) => app.deliverer.isChannel(name)
    const sessions: Sessions = new Sessions({
      journal,
      cacheSize: config.sessions.cacheSize,
      isActive: (key) => lanes.isActive(key),
      activeKeys: () => lanes.activeKeys(),
      requireAgent: (name) => {
        if (agents.get(name) === undefined)
          throw new GatewayError('NOT_FOUND', `There is no agent '${name}'.`, { details: { agent: name } })
      },
      onDeleted: (key) => dispatcher.resume(key),
    })
    const outcomes = new Outcomes(journal)
    const questions = new Questions({ broadcaster, limits: config.lanes.reports })
    const router = new Router(config, (name) => agents.get(name) !== undefined)
    const runLimits = () => ({
      ...config.lanes,
      historyLimit: config.sessions.historyLimit,
      failureText: config.channels.failureText,
    })
    const runnerOptions: RunnerOptions = {
      journal,
      sessions,
      agents,
      router,
      broadcaster,
      outcomes,
      questions,
      hooks,
      tracing,
      log,
      ...runLimits(),
      follow: (event) => app.previews.follow(event),
      skillsOf: (selection) => app.skills.select(selection),
      isChannel,
      onDeliveries: (deliveries) => app.deliverer.add(deliveries),
      observeRun: (agent_type, outcome, seconds) =>
        instruments.runDuration.observe({ agent_type, outcome }, seconds),
      observeWait: (seconds) => instruments.laneWait.observe(seconds),
    }
    const runner = new Runner(runnerOptions)
    const dispatcher = new LaneDispatcher<QueuedEvent>({
      ...config.lanes,
      run: runner.start,
      hasMemory: (bytes) => app.overload.memory.hasRoom(bytes, performance.now()),
      onFull: (sessionKey, retryAfterMs) => {
        const payload = JSON.stringify({ capacity: config.lanes.capacity, retryAfterMs })
        broadcaster.broadcast({
          event: EVENTS.laneFull.name,
          sessionKey,
          at: Date.now(),
          payload,
          seq: 0,
        })
      },
    })
    runner.attach(dispatcher)
    live.onChanged(['routing', 'defaultAgent', 'lanes.queueMode'], () => router.update(config))
    live.onChanged(['lanes', 'sessions.historyLimit', 'channels.failureText'], () => {
      Object.assign(runnerOptions, runLimits())
      dispatcher.limit(config.lanes)
    })
    const lanes = new Lanes({ dispatcher, runner, journal, sessions, outcomes })
    const intake = new Intake({
      journal,
      sessions,
      dispatcher,
      outcomes,
      hooks,
      tracing,
      log,
      onQueued: (lane) => runner.arrived(lane),
      observeEvent: (type, source) => instruments.events.inc(boundedEventLabels(type, source, isChannel)),
      observeRefusal: (reason) => instruments.refusals.inc({ reason }),
    })
    app.decorate('lanes', lanes)
    app.decorate('sessions', sessions)
    app.decorate('conversations', new Conversations(journal, sessions))
    app.decorate('intake', intake)
    app.decorate('outcomes', outcomes)
    app.decorate('questions', questions)
    measure(instruments, dispatcher, runner)
    measureQuestions(instruments, questions)

    app.addHook('onReady', async () => {
      const recovered = await lanes.recover()
      if (recovered > 0)
        log.info({ events: recovered }, 'continuing events that were accepted before the start')
    })
    const { retentionMs } = config.sessions
    if (retentionMs !== undefined) {
      const expire = (key: string, cutoff: number) => sessions.expire(key, cutoff)
      const expiry = new SessionExpiry({ retentionMs, journal, expire, log })
      app.addHook('onClose', () => expiry.stop())
    }
    app.addHook('preClose', async () => {
      await lanes.drain(config.shutdown.drainTimeoutMs, config.lanes.abortGraceMs * 2)
    })
  },
  {
    name: 'lanes',
    dependencies: ['tracing', 'metrics', 'overload', 'journal', 'events', 'hooks', 'skills', 'agents'],
    fastify: '5.x',
  },
)

function measure(instruments: Instruments, dispatcher: LaneDispatcher<QueuedEvent>, runner: Runner): void {
  instruments.gauge('gateway_active_lanes', 'Number of active processing lanes', [], (set) =>
    set({}, dispatcher.size),
  )
  instruments.gauge('gateway_runs_active', 'Runs at the same time.', [], (set) => set({}, dispatcher.running))
  instruments.gauge('gateway_lane_events_pending', 'Events that wait or run.', [], (set) =>
    set({}, dispatcher.pending),
  )
  instruments.gauge('gateway_lane_bytes_pending', 'Payload of the events that wait or run.', [], (set) =>
    set({}, dispatcher.pendingBytes),
  )
  instruments.gauge('gateway_lane_depth_max', 'Waiting events of the fullest lane.', [], (set) => {
    let depth = 0
    for (const lane of dispatcher.lanes()) depth = Math.max(depth, lane.waiting)
    set({}, depth)
  })
  instruments.gauge(
    'gateway_lane_oldest_wait_seconds',
    'How long the longest waiting event waits, in lanes that are not paused; 0 with none.',
    [],
    (set) => set({}, oldestWaitMs(dispatcher) / 1_000),
  )
  instruments.gauge(
    'gateway_run_oldest_seconds',
    'How long the present try of the longest run takes; 0 with none.',
    [],
    (set) => set({}, oldestRunMs(dispatcher) / 1_000),
  )
  instruments.counted(
    'gateway_lane_refusals_total',
    'Events refused for want of room.',
    ['reason'],
    (set) => {
      for (const [reason, count] of Object.entries(dispatcher.refusals)) set({ reason }, count)
    },
  )
  instruments.counted('gateway_runs_abandoned_total', 'Runs whose agent ignored its signal.', [], (set) =>
    set({}, runner.abandoned),
  )
}

function measureQuestions(instruments: Instruments, questions: Questions): void {
  instruments.gauge('gateway_questions_open', 'Questions of agents that wait for an answer.', [], (set) =>
    set({}, questions.size),
  )
  instruments.counted(
    'gateway_questions_total',
    'Questions of agents, by how they ended.',
    ['outcome'],
    (set) => {
      for (const [outcome, count] of Object.entries(questions.outcomes)) set({ outcome }, count)
    },
  )
}

function oldestWaitMs(dispatcher: LaneDispatcher<QueuedEvent>): number {
  const now = Date.now()
  let ms = 0
  for (const lane of dispatcher.lanes()) {
    if (!lane.paused) ms = Math.max(ms, now - (oldestAt(lane) ?? now))
  }
  return ms
}

function oldestRunMs(dispatcher: LaneDispatcher<QueuedEvent>): number {
  const now = performance.now()
  let ms = 0
  for (const { running, state } of dispatcher.lanes()) {
    // One that waits for another try does not run, and one that has not begun has no time.
    if (state === 'running' && running !== null && running.begunAt > 0)
      ms = Math.max(ms, now - running.begunAt)
  }
  return ms
}
