import { type Static, Type } from '@sinclair/typebox'

export const SkillSource = Type.Union(
  [Type.Literal('builtin'), Type.Literal('user'), Type.Literal('workspace')],
  {
    description:
      'Of the gateway itself, of `skills` in the state folder, or of a folder of `skills.folders`; later ones win.',
  },
)
export type SkillSource = Static<typeof SkillSource>

const names = (description: string) => Type.Array(Type.String(), { description })

/** A skill that was found, and whether it can be used. */
export const SkillDescription = Type.Object(
  {
    name: Type.String(),
    description: Type.String(),
    source: SkillSource,
    path: Type.String({ description: 'Its SKILL.md.' }),
    ready: Type.Boolean({
      description: 'Nothing that it requires is missing; only such are given to agents.',
    }),
    missing: Type.Object(
      {
        bins: names('Programs that are not in the PATH.'),
        env: names('Environment variables that are not set.'),
        os: names('The operating systems that it is for, where this is none of them.'),
      },
      { description: 'What it requires and is not there.' },
    ),
    hides: Type.Array(Type.Object({ source: SkillSource, path: Type.String() }), {
      description: 'Skills of the same name that it stands before, the nearest first.',
    }),
  },
  { $id: 'Skill' },
)
export type SkillDescription = Static<typeof SkillDescription>

/** A skill as agents elsewhere are given it. */
export const GivenSkill = Type.Object(
  {
    name: Type.String(),
    description: Type.String(),
    path: Type.String({ description: 'Its SKILL.md on the gateway’s machine.' }),
    body: Type.Union([Type.String(), Type.Null()], {
      description: 'What it says; null where that was too long to be sent along: see `skills.get`.',
    }),
  },
  { $id: 'GivenSkill' },
)
export type GivenSkill = Static<typeof GivenSkill>
