import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { LogLevelSchema, LogLine } from '../log-line.js'

export const logsTail = contract({
  name: 'logs.tail',
  summary:
    'The last lines of the gateway’s log, oldest first; those that follow come as `log` events to this connection alone, until `logs.untail`. Again: with another level.',
  scope: 'admin',
  large: true,
  params: Type.Object({
    level: Type.Optional(
      Type.Union([...LogLevelSchema.anyOf], {
        description:
          'The least severe level; default: `info`. What `log.level` keeps from being logged is not there.',
      }),
    ),
    limit: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_000,
        default: 100,
        description: 'Lines at most; `log.keepLines` are kept.',
      }),
    ),
  }),
  result: Type.Object({ lines: Type.Array(LogLine) }),
})

export const logsUntail = contract({
  name: 'logs.untail',
  summary: 'Ends what `logs.tail` has begun; without that it does nothing.',
  scope: 'admin',
  params: Type.Object({}),
  result: Type.Object({}),
})
