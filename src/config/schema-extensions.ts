import { Type } from '@sinclair/typebox'
import { bytes, count, list, ms, section } from './schema-kinds.js'

/** Code and rules at internal events. */
export const Hooks = section(
  {
    timeoutMs: ms(
      5_000,
      'How long the `message:received` hooks of one event may take, past it the event is refused; and each call of another hook.',
    ),
    concurrency: count(16, 'Calls of one hook that are under way at the same time.'),
    maxQueued: count(1_000, 'Events that wait for one hook; it is not told of further ones.', 0),
    folders: list(
      'Further folders with hook modules besides `hooks` in the state folder; relative to the configuration file’s folder.',
    ),
    strict: Type.Boolean({
      default: false,
      description: 'A hook module or hooks.yaml that cannot be used fails the start.',
    }),
  },
  'Hooks: code and rules that run at internal events.',
)

export const Skills = section(
  {
    folders: list(
      'Further folders with skills besides `skills` in the state folder; relative to the configuration file’s folder. Of skills of the same name that of the last folder wins.',
    ),
    maxSkills: count(200, 'Skills in all; further ones are left out.'),
    maxBytes: bytes(65_536, 'The longest SKILL.md; a longer one is left out.'),
  },
  'Skills: folders with a SKILL.md that tells agents how something is done.',
)

/** Which skills an agent is given. */
export const AgentSkills = Type.Union(
  [Type.Literal('all'), Type.Literal('none'), Type.Array(Type.String({ minLength: 1 }))],
  {
    expected: '`all`, `none` or a list of names',
    description:
      'The skills that it is given: `all` of the user’s and the workspace’s folders, `none`, or those of a list of names. Default: `all`.',
  },
)
