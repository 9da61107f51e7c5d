import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { SourceProblem } from '../hooks.js'
import { SkillDescription } from '../skills.js'

export const skillsList = contract({
  name: 'skills.list',
  summary: 'The skills that were found in the skill folders.',
  scope: 'read',
  params: Type.Object({}),
  result: Type.Object({
    skills: Type.Array(SkillDescription, { description: 'By name.' }),
    problems: Type.Array(SourceProblem, { description: 'Skills that are left out, and why.' }),
  }),
})

export const skillsGet = contract({
  name: 'skills.get',
  summary: 'A skill with what it says.',
  scope: 'read',
  params: Type.Object({ name: Type.String({ minLength: 1, maxLength: 64 }) }),
  result: Type.Object({
    skill: SkillDescription,
    body: Type.String({ description: 'Its SKILL.md without the front matter.' }),
  }),
})
