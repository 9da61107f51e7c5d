import { Type } from '@sinclair/typebox'
import { age, bytes, section } from './schema-kinds.js'

const LogFile = section(
  {
    enabled: Type.Boolean({
      default: false,
      description:
        'Log to `logs/gateway.log` in the state folder, as JSON lines, instead of standard output; `gateway start --daemon` does so in any case.',
    }),
    maxBytes: bytes(
      10_485_760,
      'A file of this size is set aside; so is `gateway.err.log`, of which one older one is kept.',
    ),
    rotateIntervalMs: age(
      86_400_000,
      'The file is set aside so often whatever its size, counted from midnight UTC.',
      1_000,
    ),
    keepFiles: Type.Integer({
      minimum: 1,
      maximum: 1_000,
      default: 14,
      description: 'How many files that were set aside are kept: `gateway.log.1` is the newest.',
    }),
    maxPendingBytes: bytes(
      1_048_576,
      'Lines that may wait in memory for a slow or failing disk; further ones are left out, and counted.',
    ),
  },
  'The log file.',
)

export const Log = section(
  {
    level: Type.Union(
      ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'].map((level) => Type.Literal(level)),
      { default: 'info', description: 'The least severe level that is logged.' },
    ),
    format: Type.Union([Type.Literal('auto'), Type.Literal('json'), Type.Literal('pretty')], {
      default: 'auto',
      description: '`auto`: pretty on a terminal, JSON otherwise.',
    }),
    keepLines: Type.Integer({
      minimum: 1,
      maximum: 10_000,
      default: 500,
      description: 'How many of the newest lines are kept in memory, for `logs.tail`.',
    }),
    file: LogFile,
  },
  'What is logged, to standard output or to a file.',
)
