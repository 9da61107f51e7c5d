import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Connection } from '../connection/connection.js'
import type { Journal } from '../journal/journal.js'
import { compileSelections, type Selection } from './broadcaster.js'
import { eventText } from './event-frame.js'
import { maySee } from './groups.js'

const PAGE = 256
const FLUSH_BYTES = 65_536

/**
 * Sends the durable events after `seq` that the connection may and wants to see, in order, at the pace at which it reads,
 * and lets it have the live ones in the very turn in which nothing is left to replay: no gap, no double (spec §1, Resume).
 * The subscription is the one that `broadcaster` holds for it, and may change on the way.
 */
export async function replay(connection: Connection, seq: number, journal: Journal): Promise<void> {
  const { outbox, principal } = connection
  const { broadcaster } = connection.services
  let selections: readonly Selection[] = []
  let wants = compileSelections(selections)
  let position = seq
  while (connection.state === 'open' && position < journal.head) {
    const upTo = journal.head
    const page = await journal.replay(position, upTo, PAGE)
    if (!journal.holds(position)) {
      // Retention has overtaken the reader: its next hello is told that there is a gap.
      connection.close('SLOW_CONSUMER')
      return
    }
    for (const entry of page) {
      if (selections !== broadcaster.selections(connection)) {
        selections = broadcaster.selections(connection)
        wants = compileSelections(selections)
      }
      if (!wants(entry.event, entry.sessionKey)) continue
      if (!maySee(principal, entry.event, entry.sessionKey)) continue
      outbox.send(eventText(entry))
      if (outbox.queuedBytes > FLUSH_BYTES) await outbox.writable()
    }
    position = page.length < PAGE ? upTo : page[page.length - 1]!.seq
    await outbox.writable()
    // A long log that is in memory must not keep the others waiting.
    if (page.length === PAGE) await nextTurn()
  }
  if (connection.state === 'open') broadcaster.release(connection)
}
