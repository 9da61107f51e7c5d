import { type Static, Type } from '@sinclair/typebox'
import { Id, JsonObject, Seq, Timestamp } from './primitives.js'

export const Attachment = Type.Object({
  type: Type.String({ minLength: 1, maxLength: 128, description: 'Media type.' }),
  name: Type.Optional(Type.String({ maxLength: 256 })),
  url: Type.Optional(Type.String({ maxLength: 4096 })),
  data: Type.Optional(Type.String({ description: 'Base64.' })),
})

export const Message = Type.Object(
  {
    messageId: Id,
    role: Type.Union([Type.Literal('user'), Type.Literal('assistant'), Type.Literal('system')]),
    content: Type.String(),
    attachments: Type.Optional(Type.Array(Attachment, { maxItems: 32 })),
    eventId: Id,
    runId: Id,
    answers: Type.Optional(
      Type.Array(Id, { description: 'The ids of the events that it answers, where they are several.' }),
    ),
    agent: Type.Optional(Type.String({ description: 'Which agent wrote it.' })),
    sender: Type.Optional(Type.String({ description: 'Who wrote it, as its source names them.' })),
    metadata: Type.Optional(JsonObject),
  },
  { $id: 'Message' },
)
export type Message = Static<typeof Message>

/** A message at its place in the history. */
export const HistoryEntry = Type.Intersect([Message, Type.Object({ seq: Seq, at: Timestamp })])
