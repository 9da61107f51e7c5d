import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { Timestamp } from '../primitives.js'

const Paths = (description: string) => Type.Array(Type.String(), { description })
const Hash = Type.String({
  description: 'What tells the present text of the configuration file from any other.',
})
const PathText = Type.String({
  minLength: 1,
  maxLength: 1_000,
  description: 'Such as `lanes.capacity`, `agents.helper` or `routing[0].agent`.',
})

const ConfigProblem = Type.Object({
  path: Type.String({ description: 'Empty: the file or a variable as a whole.' }),
  source: Type.Optional(Type.String({ description: 'Who set it: a line of the file, a variable, a flag.' })),
  message: Type.String(),
})

export const ConfigResult = Type.Object(
  {
    applied: Paths('The settings that changed and are in effect.'),
    restartRequired: Paths('The settings that changed and wait for a restart.'),
    pending: Paths('All settings that wait for a restart, those of earlier changes included.'),
    hash: Hash,
  },
  { $id: 'ConfigResult' },
)

/** The payload of `config.changed`. */
export const ConfigChanged = Type.Object({
  paths: Paths('The settings that changed; never their values.'),
  restartRequired: Paths('Those of them that wait for a restart.'),
  source: Type.Union([Type.Literal('rpc'), Type.Literal('file'), Type.Literal('signal')], {
    description: 'A method, the file that was written by hand, or SIGHUP.',
  }),
  by: Type.Union([Type.String(), Type.Null()], {
    description: 'The name of whose credentials they were; null: it was no method.',
  }),
})

export const configGet = contract({
  name: 'config.get',
  summary: 'The configuration, without its secrets, and where each value comes from.',
  scope: 'admin',
  params: Type.Object({ path: Type.Optional(PathText) }),
  result: Type.Object({
    value: Type.Unknown({
      description:
        'All of it, or what is at `path`; secrets are `[redacted]`. What `pending` names is not in effect yet.',
    }),
    sources: Type.Record(Type.String(), Type.String(), { description: 'Who set each value, or `default`.' }),
    file: Type.Union([Type.String(), Type.Null()], { description: 'Null: there is none yet.' }),
    hash: Hash,
    pending: Paths('The settings that wait for a restart.'),
    problem: Type.Union([Type.Object({ at: Timestamp, problems: Type.Array(ConfigProblem) }), Type.Null()], {
      description: 'Why what is in the file now is not in use; null: it is.',
    }),
  }),
})

export const configSchema = contract({
  name: 'config.schema',
  summary: 'The JSON Schema of the configuration.',
  scope: 'admin',
  params: Type.Object({}),
  result: Type.Object({ schema: Type.Unknown() }),
})

export const configSet = contract({
  name: 'config.set',
  summary: 'Sets one value in the configuration file and applies it; null or no value removes it.',
  scope: 'admin',
  params: Type.Object({
    path: PathText,
    value: Type.Optional(Type.Unknown({ description: '`[redacted]` or `***`: a secret stays as it is.' })),
    baseHash: Type.Optional(
      Type.String({ description: 'Refuse with `CONFLICT` where the file is another one.' }),
    ),
  }),
  result: ConfigResult,
})

export const configPatch = contract({
  name: 'config.patch',
  summary: 'Merges a patch (RFC 7396) into the configuration file and applies it, all of it or nothing.',
  scope: 'admin',
  params: Type.Object({
    patch: Type.Record(Type.String(), Type.Unknown(), {
      description: 'null removes. `[redacted]` or `***`: a secret stays as it is.',
    }),
    baseHash: Type.String({ description: 'The `hash` that the patch is made for; another one: `CONFLICT`.' }),
  }),
  result: ConfigResult,
})

export const configReload = contract({
  name: 'config.reload',
  summary: 'Reads the configuration anew and applies what has changed.',
  scope: 'admin',
  params: Type.Object({}),
  result: ConfigResult,
})
