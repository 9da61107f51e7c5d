import { type Static, Type } from '@sinclair/typebox'
import { Timestamp } from './primitives.js'

const count = (description: string) => Type.Integer({ minimum: 0, description })

/** A hook and how it is doing. */
export const HookDescription = Type.Object(
  {
    name: Type.String(),
    kind: Type.Union([Type.Literal('plugin'), Type.Literal('module'), Type.Literal('rule')], {
      description: 'Of a plugin’s `app.on`, a module in a hook folder, a rule of hooks.yaml.',
    }),
    source: Type.String({ description: 'The plugin, or the file.' }),
    description: Type.Union([Type.String(), Type.Null()]),
    events: Type.Array(Type.String(), { description: 'The internal events that it is for.' }),
    priority: Type.Integer({ description: 'Smaller first.' }),
    enabled: Type.Boolean(),
    calls: count('Since it was loaded.'),
    failures: count('Calls that threw; to refuse an event is no failure.'),
    timeouts: count('Calls that did not end in time.'),
    dropped: count('Events that it was not told of: too many waited for it.'),
    waiting: count('Events that wait for it now.'),
    lastError: Type.Union([Type.Object({ at: Timestamp, message: Type.String() }), Type.Null()]),
  },
  { $id: 'Hook' },
)
export type HookDescription = Static<typeof HookDescription>

/** Why something in a folder or file is not in use. */
export const SourceProblem = Type.Object(
  {
    source: Type.String({ description: 'The file, with the line where it is known.' }),
    path: Type.String({ description: 'The key in it, such as `hooks[0].on`; empty: the file as a whole.' }),
    message: Type.String({ description: 'What was expected, and what was found.' }),
  },
  { $id: 'SourceProblem' },
)
export type SourceProblem = Static<typeof SourceProblem>
