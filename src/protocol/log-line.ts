import { type Static, Type } from '@sinclair/typebox'
import { JsonObject, Timestamp } from './primitives.js'

/** Least severe first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export const LogLevelSchema = Type.Union(
  [
    Type.Literal('trace'),
    Type.Literal('debug'),
    Type.Literal('info'),
    Type.Literal('warn'),
    Type.Literal('error'),
    Type.Literal('fatal'),
  ],
  { description: 'How severe it is.' },
)

/** A line of the gateway's log, without its secrets. */
export const LogLine = Type.Object(
  { at: Timestamp, level: LogLevelSchema, message: Type.String(), fields: JsonObject },
  { $id: 'LogLine' },
)
export type LogLine = Static<typeof LogLine>
