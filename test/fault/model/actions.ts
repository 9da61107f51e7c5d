import { type Priority, QUEUE_MODES, type QueueMode } from '../../../src/protocol/index.js'
import fc from '../../helpers/properties.js'
import type { Call } from './history.js'
import type { Observer } from './observer.js'
import { contentOf, isFatal, type Script } from './witness.js'

/** What a client may do. `lane` is an index of the sessions; `pick` chooses among what was done before. */
export type Action =
  | {
      do: 'send'
      lane: number
      script: Script
      priority: Priority | null
      keyed: boolean
      wait: boolean
      /** By `events.publish`, which leaves no message in the conversation. */
      publish: boolean
    }
  /** The same key with the same content, or with another. */
  | { do: 'repeat' | 'contradict'; pick: number }
  | { do: 'abortRun' | 'wait' | 'retry' | 'discard'; pick: number }
  | { do: 'abortLane' | 'pause' | 'resume' | 'reset'; lane: number }
  | { do: 'mode'; lane: number; mode: QueueMode | null }

export interface ActionWeights {
  readonly lanes: number
  readonly scripts: readonly Script[]
  /** Of operators' actions, beside 12 sends. */
  readonly operators: number
}

export function actionArbitrary({ lanes, scripts, operators }: ActionWeights): fc.Arbitrary<Action> {
  const lane = fc.nat(lanes - 1)
  const pick = fc.nat(1_000)
  const send = fc.record({
    do: fc.constant('send' as const),
    lane,
    script: fc.constantFrom(...scripts),
    priority: fc.constantFrom(null, null, null, 'system' as const, 'cron' as const),
    keyed: fc.constantFrom(true, true, true, false),
    wait: fc.constantFrom(false, false, false, true),
    publish: fc.constantFrom(false, false, false, false, true),
  })
  const picked = (...kinds: ('repeat' | 'contradict' | 'abortRun' | 'wait' | 'retry' | 'discard')[]) =>
    fc.record({ do: fc.constantFrom(...kinds), pick }) as fc.Arbitrary<Action>
  return fc.oneof(
    { weight: 12, arbitrary: send },
    { weight: 2, arbitrary: picked('repeat', 'repeat', 'contradict') },
    { weight: 2, arbitrary: picked('wait') },
    { weight: operators, arbitrary: picked('abortRun', 'abortRun', 'retry', 'discard') },
    {
      weight: operators,
      arbitrary: fc.record({
        do: fc.constant('mode' as const),
        lane,
        mode: fc.constantFrom(null, ...QUEUE_MODES),
      }),
    },
    {
      weight: operators,
      arbitrary: fc.record({
        do: fc.constantFrom('abortLane' as const, 'pause' as const, 'resume' as const, 'reset' as const),
        lane,
      }),
    },
  )
}

/** Whether its answer comes only with the end of a run. */
export const waits = (action: Action): boolean =>
  action.do === 'wait' || (action.do === 'send' && action.wait && !action.publish)

/** The sends of one history: their labels, their keys, and which of them are to be repeated. */
export class World {
  readonly sessions: readonly string[]
  /** Which session lane 0 is. */
  first = 0
  readonly #sends: Call[] = []
  #labels = 0

  constructor(sessions: number) {
    this.sessions = Array.from({ length: sessions }, (_, n) => `web:${n}:main`)
  }

  /** Makes sessions, with their queue modes, before anything is sent to them. */
  async create(modes: readonly (QueueMode | null | undefined)[], client: Observer): Promise<void> {
    for (const [n, key] of this.sessions.entries()) {
      const mode = modes[n % modes.length]
      if (mode !== undefined) await client.call('sessions.create', { queueMode: mode }, key)
    }
  }

  /** Resolves when it was answered, or when the connection ended. */
  async perform(action: Action, client: Observer): Promise<void> {
    switch (action.do) {
      case 'send':
        return this.#send(action, client)
      case 'repeat': {
        const call = this.#keyed(action.pick)
        if (call !== undefined) await this.#repeat(call, client)
        return
      }
      case 'contradict': {
        const call = this.#keyed(action.pick)
        if (call === undefined) return
        const params = withContent(call, contentOf(this.#label(), 'quick'))
        await this.#remember(client.call(call.method, params, call.sessionKey))
        return
      }
      case 'abortLane':
        await client.call('agent.abort', {}, this.#session(action.lane))
        return
      case 'pause':
      case 'resume':
        await client.call(`lanes.${action.do}`, {}, this.#session(action.lane))
        return
      case 'reset':
        await client.call('sessions.reset', {}, this.#session(action.lane))
        return
      case 'mode':
        await client.call('sessions.patch', { queueMode: action.mode }, this.#session(action.lane))
        return
      default:
        return this.#operate(action, client)
    }
  }

  /** Sends again, with the same key, what has no answer: as a client does that wants to know. */
  async settle(client: Observer): Promise<void> {
    const answered = new Set(this.#sends.filter(({ outcome }) => outcome !== 'lost').map(nameOf))
    const open = new Map<string, Call>()
    for (const call of this.#sends) {
      if (call.params.idempotencyKey !== undefined && !answered.has(nameOf(call)))
        open.set(nameOf(call), call)
    }
    for (const call of open.values()) if (client.connected) await this.#repeat(call, client)
  }

  #session(lane: number): string {
    return this.sessions[(this.first + lane) % this.sessions.length]!
  }

  #label(): string {
    return `#m${++this.#labels}`
  }

  async #send(action: Action & { do: 'send' }, client: Observer): Promise<void> {
    const { lane, script, priority, keyed, wait, publish } = action
    const label = this.#label()
    const content = contentOf(label, script)
    const options = {
      ...(keyed ? { idempotencyKey: `key of ${label}` } : {}),
      ...(priority === null ? {} : { priority }),
    }
    const params = publish
      ? { type: 'system.note', source: 'test', payload: { content }, ...options }
      : { content, ...(wait ? { wait } : {}), ...options }
    await this.#remember(
      client.call(publish ? 'events.publish' : 'sessions.send', params, this.#session(lane)),
    )
  }

  async #operate(
    { do: what, pick }: Action & { do: 'abortRun' | 'wait' | 'retry' | 'discard' },
    client: Observer,
  ): Promise<void> {
    const isOfInterest = what === 'abortRun' || what === 'wait' ? () => true : isFatal
    const accepted = this.#sends.filter(
      ({ outcome, params }) => outcome === 'ok' && isOfInterest(JSON.stringify(params)),
    )
    if (accepted.length === 0) return
    // The newest are those of which something is still to come.
    const { runId, eventId } = accepted[accepted.length - 1 - (pick % Math.min(accepted.length, 12))]!.result
    if (what === 'abortRun') await client.call('agent.abort', { runId })
    else if (what === 'wait') await client.call('agent.wait', { runId })
    else await client.call(`deadLetters.${what}`, { eventId })
  }

  #keyed(pick: number): Call | undefined {
    const keyed = this.#sends.filter(({ params }) => params.idempotencyKey !== undefined)
    return keyed[keyed.length - 1 - (pick % Math.min(Math.max(keyed.length, 1), 20))]
  }

  async #repeat(call: Call, client: Observer): Promise<void> {
    // One that waits would wait for hanging agents; the ids are all that is asked for.
    const { wait: _, ...params } = call.params
    await this.#remember(client.call(call.method, params, call.sessionKey))
  }

  async #remember(calling: Promise<Call>): Promise<void> {
    this.#sends.push(await calling)
  }
}

function withContent({ params }: Call, content: string): Record<string, unknown> {
  return params.payload === undefined
    ? { ...params, content }
    : { ...params, payload: { ...(params.payload as object), content } }
}

/** What a repeated send has in common with the first one. */
const nameOf = ({ sessionKey, params }: Call): string =>
  JSON.stringify([sessionKey, params.idempotencyKey, params.content, params.payload])
