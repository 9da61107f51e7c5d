import type { Frame } from '../../helpers/socket.js'
import { until } from '../../helpers/until.js'
import type { World } from './actions.js'
import { type Ending, isFinal } from './facts.js'
import { now } from './history.js'
import type { Host } from './hosts.js'
import { Observer, type Watcher } from './observer.js'

/** Nothing is late that comes within this, however slow the machine is. */
const DRAIN_MS = 90_000
const READ_MS = 60_000
const PAGE = 100

/**
 * A quiet start after all that happened: everyone comes back, repeats what they do not know of, paused lanes go on; then all
 * that can be asked is asked.
 */
export async function conclude(host: Host, world: World, clients: readonly Watcher[]): Promise<Ending> {
  await host.start({ quiet: true })
  const auditor = new Observer(host.history, 'auditor')
  await auditor.connect(host.wsUrl)
  for (const client of clients) await client.connect(host.wsUrl)
  await world.settle(auditor)
  for (const key of world.sessions) await auditor.call('lanes.resume', {}, key)
  const pending = await drained(auditor)
  const { result: info } = await auditor.call('gateway.info')
  const behind: string[] = []
  for (const client of clients) {
    if (!(await client.until(() => client.position!.seq >= info.seq, READ_MS)))
      behind.push(
        `${client.name} has everything up to ${client.position?.seq}, the journal up to ${info.seq}`,
      )
  }
  const log = await readLog(host, info)
  const ending: Ending = {
    log,
    conversations: await conversations(auditor, world),
    outcomes: await outcomes(auditor, log),
    deadLetters: await deadLetters(auditor),
    pending,
    behind,
  }
  for (const client of [auditor, ...clients]) await client.disconnect()
  await host.end('stopped')
  return ending
}

/** How much still waits when nothing does any more, or when the time is over. */
async function drained(auditor: Observer): Promise<number> {
  const deadline = now() + DRAIN_MS * 1_000
  let pending = -1
  await until(async () => {
    const { result } = await auditor.call('gateway.info')
    pending = result.lanes.pending
    return pending === 0 || now() > deadline
  })
  return pending
}

async function readLog(host: Host, { epoch, seq }: { epoch: string; seq: number }): Promise<Frame[]> {
  const reader = new Observer(host.history, 'reader')
  reader.position = { epoch, seq: 0 }
  await reader.connect(host.wsUrl)
  if (!(await reader.until(() => reader.position!.seq >= seq, READ_MS)))
    throw new Error(`the log was read up to ${reader.position!.seq} of ${seq}`)
  await reader.disconnect()
  const { events } = host.history.connections.findLast(({ client }) => client === 'reader')!
  return events.map(({ frame }) => frame).filter((frame) => frame.seq !== undefined)
}

async function conversations(auditor: Observer, world: World): Promise<Map<string, Frame[]>> {
  const found = new Map<string, Frame[]>()
  for (const key of world.sessions) {
    let cursor: string | null | undefined
    const messages: Frame[] = []
    while (cursor !== null) {
      const params = cursor === undefined ? { limit: PAGE } : { limit: PAGE, cursor }
      const { outcome, result } = await auditor.call('sessions.history', params, key)
      // There is no session where nothing was ever accepted.
      if (outcome !== 'ok') break
      messages.unshift(...result.messages)
      cursor = result.nextCursor
    }
    found.set(key, messages)
  }
  return found
}

async function outcomes(auditor: Observer, log: readonly Frame[]): Promise<Map<string, Frame>> {
  const runIds = new Set(log.filter(isFinal).map(({ payload }) => payload.runId))
  const found = new Map<string, Frame>()
  for (const part of chunks([...runIds], PAGE)) {
    const wait = (runId: string) => auditor.call('agent.wait', { runId, timeoutMs: 1_000 })
    for (const { params, outcome, result } of await Promise.all(part.map(wait))) {
      if (outcome === 'ok') found.set(params.runId as string, result)
    }
  }
  return found
}

/** A connection may have so many requests in flight, and no more. */
function* chunks<T>(items: readonly T[], size: number): Iterable<T[]> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size)
}

async function deadLetters(auditor: Observer): Promise<Set<string>> {
  const found = new Set<string>()
  let cursor: string | null | undefined
  while (cursor !== null) {
    const params = cursor === undefined ? { limit: PAGE } : { limit: PAGE, cursor }
    const { result } = await auditor.call('deadLetters.list', params)
    for (const { event } of result.deadLetters) found.add(event.id)
    cursor = result.nextCursor
  }
  return found
}
