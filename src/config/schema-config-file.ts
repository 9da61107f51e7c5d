import { count, ms, section } from './schema-kinds.js'

export const ConfigFile = section(
  {
    watchIntervalMs: ms(
      1_000,
      'How often the configuration file is looked at; a change of it that is valid applies by itself. 0: never.',
      0,
    ),
    settleMs: ms(250, 'How long a changed file has to stay as it is before it is read.', 0),
    backups: count(3, 'Earlier versions of the file that are kept beside it when `config.*` writes one.', 0),
    maxPendingChanges: count(16, 'Changes by `config.*` that may wait for each other; more are refused.'),
  },
  'The configuration file itself.',
)
