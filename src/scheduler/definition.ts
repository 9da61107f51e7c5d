import type { Static } from '@sinclair/typebox'
import { sessionKeyOf, targetOf } from '../connectors/address.js'
import {
  type CronDelivery,
  type CronPayload,
  type CronPayloadInput,
  type CronSchedule,
  type CronScheduleInput,
  GatewayError,
} from '../protocol/index.js'
import { timesOf } from './times.js'

export type ScheduleInput = Static<typeof CronScheduleInput>
export type PayloadInput = Static<typeof CronPayloadInput>

/** RFC 3339, §5.6. */
const DATE_TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)$/

/** The schedule with everything that was left out filled in, and its first time. @throws `INVALID_REQUEST` */
export async function readSchedule(
  input: ScheduleInput,
  now: number,
): Promise<{ schedule: CronSchedule; nextRunAt: number }> {
  const schedule = complete(input, now)
  const path = `params.schedule.${scheduleKind(input)}`
  const nextRunAt = await firstTime(schedule, now, path)
  if (nextRunAt === null) throw invalid(path, 'a time to come')
  return { schedule, nextRunAt }
}

const KINDS = ['at', 'everyMs', 'cron'] as const

function scheduleKind(input: ScheduleInput): (typeof KINDS)[number] {
  const [kind, ...others] = KINDS.filter((key) => input[key] !== undefined)
  if (kind === undefined || others.length > 0) {
    throw invalid('params.schedule', `one of ${KINDS.map((key) => `\`${key}\``).join(', ')}`)
  }
  return kind
}

function complete({ at, everyMs, anchor, cron, timeZone }: ScheduleInput, now: number): CronSchedule {
  const kind = scheduleKind({ at, everyMs, cron })
  if (anchor !== undefined && kind !== 'everyMs') throw invalid('params.schedule.anchor', 'it with `everyMs`')
  if (timeZone !== undefined && kind !== 'cron') throw invalid('params.schedule.timeZone', 'it with `cron`')
  if (kind === 'at') return { at: typeof at === 'string' ? instant(at) : at }
  if (kind === 'everyMs') return { everyMs, anchor: anchor ?? now }
  return { cron, timeZone: zone(timeZone) }
}

function instant(text: string): number {
  const at = DATE_TIME.test(text) ? Date.parse(text) : Number.NaN
  if (at >= 0) return at
  throw invalid('params.schedule.at', 'a date and time with its offset, such as 2027-01-31T18:00:00+01:00')
}

function zone(name: string | undefined): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone
  } catch {
    throw invalid('params.schedule.timeZone', 'the IANA name of a time zone, such as Europe/Berlin')
  }
}

async function firstTime(schedule: CronSchedule, now: number, path: string): Promise<number | null> {
  try {
    return (await timesOf(schedule)).next(now)
  } catch (error) {
    const what = (error as Error).message.replace(/^CronPattern: /, '')
    throw invalid(path, `a cron expression such as \`0 9 * * MON-FRI\` (${what})`)
  }
}

/** What the gateway has. */
export interface Surroundings {
  /** @throws `NOT_FOUND` */
  readonly requireAgent: (name: string) => void
  /** @throws `NOT_LINKED` */
  readonly requireChannel: (name: string) => void
}

/** @throws `INVALID_REQUEST`, or what the surroundings throw. `sessionKey`: of the job, if that is known. */
export function readPayload(
  { kind, text, message, agent, deliver }: PayloadInput,
  sessionKey: string | null,
  { requireAgent, requireChannel }: Surroundings,
): CronPayload {
  const foreign = kind === 'systemEvent' ? { message, agent, deliver } : { text }
  for (const [name, value] of Object.entries(foreign)) {
    if (value !== undefined) throw invalid(`params.payload.${name}`, `nothing with the kind \`${kind}\``)
  }
  if (kind === 'systemEvent') {
    if (text === undefined) throw invalid('params.payload.text', 'this to be present')
    return { kind, text }
  }
  if (message === undefined) throw invalid('params.payload.message', 'this to be present')
  if (agent !== undefined) requireAgent(agent)
  const payload = agent === undefined ? { kind, message } : { kind, message, agent }
  if (deliver === undefined) return payload
  const delivery = readDelivery(deliver, sessionKey)
  requireChannel(delivery.channel)
  return { ...payload, deliver: delivery }
}

function readDelivery(
  { channel, peer, thread }: NonNullable<PayloadInput['deliver']>,
  sessionKey: string | null,
): CronDelivery {
  if (channel !== undefined && peer !== undefined) return { channel, peer, thread: thread ?? null }
  const path = 'params.payload.deliver'
  if (channel !== undefined || peer !== undefined || thread !== undefined) {
    throw invalid(path, '`channel` and `peer`, or nothing')
  }
  const target = sessionKey === null ? null : targetOf(sessionKey)
  if (target !== null) return target
  throw invalid(path, '`channel` and `peer`, or the session key of a conversation on a channel')
}

/** Every session that a job has to do with: its own, and the conversation that it says something in. */
export function sessionsOf(sessionKey: string, { deliver }: CronPayload): string[] {
  return deliver === undefined ? [sessionKey] : [sessionKey, sessionKeyOf(deliver.channel, deliver)]
}

export function invalid(path: string, expected: string): GatewayError {
  return new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, { details: { path, expected } })
}
