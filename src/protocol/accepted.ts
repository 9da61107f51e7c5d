import { Type } from '@sinclair/typebox'
import { HistoryEntry, RunStatus } from './events.js'
import { Id, Seq } from './primitives.js'

/** What became of an accepted event. */
export const Outcome = Type.Object(
  {
    runId: Type.String(),
    eventId: Type.String(),
    status: RunStatus,
    message: Type.Union([HistoryEntry, Type.Null()], { description: 'The agent’s final message.' }),
    error: Type.Unknown({ description: 'Why it failed or was aborted, or null.' }),
    mergedInto: Type.Union([Type.String(), Type.Null()], {
      description: 'The run that handled the event, where that is another one: the outcome is that run’s.',
    }),
  },
  { $id: 'Outcome' },
)

/** What the sender of an event hears once it is on disk. */
export const Accepted = Type.Object(
  {
    eventId: Id,
    seq: Seq,
    runId: Id,
    queued: Type.Integer({ minimum: 0, description: 'Events ahead of it in its lane.' }),
    duplicate: Type.Optional(
      Type.Boolean({ description: 'The idempotency key was seen before: these are the first one’s ids.' }),
    ),
    outcome: Type.Optional(Outcome),
  },
  { $id: 'Accepted', description: '`outcome` where it was waited for, and for a duplicate that has one.' },
)
