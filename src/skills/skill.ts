import { type Static, Type } from '@sinclair/typebox'
import type { SkillDescription, SkillSource } from '../protocol/index.js'

const names = (expected: string) => Type.Optional(Type.Array(Type.String({ minLength: 1 }), { expected }))

/** The head of a SKILL.md; what else stands there is for others. */
export const SkillHead = Type.Object({
  name: Type.String({
    pattern: '^[a-z0-9]+(-[a-z0-9]+)*$',
    maxLength: 64,
    expected: 'a name of small letters, digits and single `-`, at most 64',
  }),
  description: Type.String({ minLength: 1, maxLength: 1_024 }),
  requires: Type.Optional(
    Type.Object(
      {
        bins: names('a list of programs'),
        env: names('a list of environment variables'),
        os: names('a list of operating systems such as linux, darwin and win32'),
      },
      { additionalProperties: false, expected: 'keys and values of bins, env and os' },
    ),
  ),
})
export type Requirements = NonNullable<Static<typeof SkillHead>['requires']>

/** A skill as agents are given it. Immutable. */
export interface Skill {
  readonly name: string
  readonly description: string
  readonly source: SkillSource
  /** Its SKILL.md. */
  readonly path: string
  /** Its SKILL.md without the front matter. */
  readonly body: string
}

/** A skill that was found. */
export interface FoundSkill extends Skill {
  readonly missing: SkillDescription['missing']
}

/** Which skills an agent is given. */
export type SkillSelection = 'all' | 'none' | readonly string[]

export const NO_SKILLS: readonly Skill[] = Object.freeze([])
