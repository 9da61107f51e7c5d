import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Value } from '@sinclair/typebox/value'
import type { Webhook } from 'standardwebhooks'
import type { Target } from '../connectors/connector.js'
import { Recent } from '../connectors/recent.js'
import type { Template } from '../connectors/template.js'
import { postSigned } from '../connectors/webhook/post.js'
import { GatewayError, SessionKey } from '../protocol/index.js'
import { type TraceContext, type Traced, traceOf } from '../tracing/trace-context.js'
import type { HookContext } from './registered-hook.js'

/** What rules are done with. */
export interface RuleHost {
  readonly env: NodeJS.ProcessEnv
  isChannel(name: string): boolean
  /** Has the session's agent answer it. Resolves once it is on disk. */
  say(sessionKey: string, content: string, rule: string, trace: TraceContext | null): Promise<unknown>
  /** Resolves once it is on disk. */
  deliver(channel: string, target: Target, text: string, trace: TraceContext | null): Promise<unknown>
}

/** An internal event as JSON, with its name. */
export type View = Readonly<Record<string, unknown>>

export type Action = (view: View, context: HookContext) => unknown

/** The source of events that rules make. */
export const HOOK_SOURCE = 'hook'

/** Of what others wrote no more than this goes into the log. */
const MAX_LOGGED_CHARS = 8_192
const BACKOFF_MS = 500
export const MAX_BACKOFF_MS = 10_000

export function logAction(rule: string, level: 'debug' | 'info' | 'warn' | 'error', text: Template): Action {
  return (view, { log }) => {
    log[level]({ hook: rule, event: view.name, text: text.fill(view).slice(0, MAX_LOGGED_CHARS) }, 'hook')
  }
}

export interface WebhookTarget {
  readonly url: string
  readonly hook: Webhook | null
  readonly attempts: number
  readonly timeoutMs: number
}

/** Posts what happened; tried again while that may help. */
export function webhookAction(rule: string, text: Template | null, target: WebhookTarget): Action {
  const { attempts, ...to } = target
  return async (view, { signal }) => {
    const { name, at, ...data } = view
    const body = JSON.stringify({ type: name, hook: rule, at, text: text?.fill(view) ?? null, data })
    const id = `msg_${randomUUID()}`
    for (let attempt = 1; ; attempt++) {
      try {
        await postSigned({ ...to, id, at: new Date(), body, trace: traceOfView(view) }, signal)
        return
      } catch (error) {
        if (!(error instanceof GatewayError && error.retryable) || attempt >= attempts) throw error
        const backoffMs = Math.max(BACKOFF_MS * 2 ** (attempt - 1), error.retryAfterMs ?? 0)
        await delay(Math.min(backoffMs, MAX_BACKOFF_MS), undefined, { signal })
      }
    }
  }
}

export interface Address {
  readonly channel: string
  readonly peer: Template
  readonly thread: Template | null
}

/** Says something on a channel, through the outbox. */
export function deliveryAction({ channel, peer, thread }: Address, text: Template, host: RuleHost): Action {
  return async (view) => {
    const target = { peer: peer.fill(view), thread: thread?.fill(view) || null }
    if (target.peer === '') throw new Error('there is nobody to tell: the template of peer is empty')
    await host.deliver(channel, target, text.fill(view), traceOfView(view))
  }
}

/** Sessions that rules have written to, in which they do not heed what comes of it: no rule keeps itself busy. */
const REMEMBERED = 10_000

/** Puts a message into a session, whose agent answers it. */
export function messageAction(rule: string, sessionKey: Template, text: Template, host: RuleHost): Action {
  const written = new Recent<true>(REMEMBERED)
  return async (view) => {
    if (isOwn(view, written)) return
    const key = sessionKey.fill(view)
    const isKey: boolean = Value.Check(SessionKey, key)
    if (!isKey) throw new Error(`${JSON.stringify(key.slice(0, 80))} is no session key`)
    const content = text.fill(view)
    if (content === '') return
    written.set(key, true)
    await host.say(key, content, rule, traceOfView(view))
  }
}

/** What comes of an event belongs to its trace. */
function traceOfView({ event }: View): TraceContext | null {
  return traceOf((event ?? {}) as Traced)
}

/** Whether it comes of what a rule has written. */
function isOwn(view: View, written: Recent<true>): boolean {
  const { event, sessionKey } = view as { event?: { source?: unknown }; sessionKey?: unknown }
  if (event !== undefined) return event.source === HOOK_SOURCE
  return typeof sessionKey === 'string' && written.has(sessionKey)
}
