import type { GatewayProcess } from '../helpers/gateway-process.js'
import type { Frame, TestSocket } from '../helpers/socket.js'

export interface Message {
  readonly key: string
  readonly content: string
  readonly idempotencyKey: string
  accepted: { readonly eventId: string; readonly runId: string; readonly seq: number } | null
}

const FINALS = new Set(['agent.completed', 'agent.failed', 'agent.aborted', 'agent.merged'])

/** What of a session's durable events is not as the messages that were sent to it want it: each once, in order, with one final. */
export function auditSession(key: string, expected: readonly Message[], log: readonly Frame[]): string[] {
  const problems: string[] = []
  const own = log.filter(({ sessionKey }) => sessionKey === key)
  const asked = own.filter(({ event, payload }) => event === 'session.message' && payload.role === 'user')
  const answered = own.filter(
    ({ event, payload }) => event === 'session.message' && payload.role === 'assistant',
  )
  const finals = own.filter(({ event }) => FINALS.has(event))
  const runs = expected.map(({ accepted }) => accepted?.runId)
  const same = (what: string, found: unknown[], wanted: unknown[]) => {
    if (found.join() !== wanted.join()) problems.push(`${key}: ${what}: ${found} instead of ${wanted}`)
  }
  const first = (content: string) => content.split(' ')[0]
  same(
    'messages',
    asked.map(({ payload }) => first(payload.content)),
    expected.map(({ content }) => first(content)),
  )
  same(
    'runs',
    asked.map(({ payload }) => payload.runId),
    runs,
  )
  same(
    'positions',
    asked.map(({ seq }) => seq),
    expected.map(({ accepted }) => accepted?.seq),
  )
  same(
    'answers',
    answered.map(({ payload }) => payload.content),
    expected.map(({ content }) => `answer to ${first(content)}`),
  )
  same(
    'finals',
    finals.map(({ payload }) => payload.runId),
    runs,
  )
  const failed = finals.filter(({ event }) => event !== 'agent.completed')
  if (failed.length > 0) problems.push(`${key}: ${failed.map(({ event }) => event)}`)
  return problems
}

/** Waits until nothing waits or runs; told by events, asked for once more after each. */
export async function settled(socket: TestSocket): Promise<void> {
  for (;;) {
    const seen = socket.frames.length
    const { lanes } = await socket.call('gateway.info')
    if (lanes.pending === 0) return
    await socket.next((frame) => FINALS.has(frame.event), seen)
  }
}

/** What a gateway has logged as a warning or worse. */
export function complaintsOf(gateway: GatewayProcess): string[] {
  const lines = gateway.output().split('\n').filter(Boolean)
  return lines.filter((line) => {
    try {
      return JSON.parse(line).level >= 40
    } catch {
      return true
    }
  })
}
