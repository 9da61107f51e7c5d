import type { Connection } from '../connection/connection.js'
import type { Journal } from '../journal/journal.js'
import { Broadcaster, maySee, type Selection } from './broadcaster.js'
import { encodeEvent } from './event-frame.js'

const PAGE = 256
const FLUSH_BYTES = 65_536

/**
 * Sends the durable events after `seq` that the connection may and wants to see, in order, at the pace at which it reads,
 * and subscribes it in the very turn in which nothing is left to replay: no gap, no double (spec §1, Resume).
 */
export async function replay(
  connection: Connection,
  selections: readonly Selection[],
  seq: number,
  journal: Journal,
): Promise<void> {
  let position = seq
  while (connection.state === 'open' && position < journal.head) {
    const upTo = journal.head
    const page = await journal.replay(position, upTo, PAGE)
    for (const entry of page) {
      if (!maySee(connection.principal, entry.event, entry.sessionKey)) continue
      if (!Broadcaster.wants(selections, entry.event, entry.sessionKey)) continue
      connection.sendEvent(encodeEvent(entry, false))
      if (connection.outbox.bufferedBytes > FLUSH_BYTES) await connection.outbox.writable()
    }
    position = page.length < PAGE ? upTo : page[page.length - 1]!.seq
    await connection.outbox.writable()
  }
  const { broadcaster } = connection.services
  // A subscription that the client changed in the meantime stands.
  if (connection.state === 'open' && broadcaster.selections(connection).length === 0) {
    broadcaster.subscribe(connection, selections)
  }
}
