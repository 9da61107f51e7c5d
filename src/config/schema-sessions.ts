import { Type } from '@sinclair/typebox'
import { count, section } from './schema-kinds.js'

export const Sessions = section(
  {
    historyLimit: count(50, 'Messages that an agent is given as context.', 0),
    cacheSize: count(10_000, 'Session records that are kept in memory.'),
    retentionMs: Type.Optional(
      Type.Integer({
        minimum: 60_000,
        maximum: 315_360_000_000,
        description:
          'How long a session is kept that nobody uses; then it ends with its messages. Default: for ever.',
        unit: 'ms',
      }),
    ),
    maxMessages: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100_000_000,
        description: 'Messages of a session that are kept, the newest ones. Default: all.',
      }),
    ),
  },
  'Conversations.',
)
