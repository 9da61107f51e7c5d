import type { GivenSkill } from '../protocol/index.js'
import type { Skill } from './skill.js'

/** Skills for an agent elsewhere: bodies in their order, as long as they fit into so many characters in all. */
export function givenSkills(skills: readonly Skill[], maxChars: number): GivenSkill[] {
  let left = maxChars
  return skills.map(({ name, description, path, body }) => {
    const fits = body.length <= left
    if (fits) left -= body.length
    return { name, description, path, body: fits ? body : null }
  })
}

/** The same as text for a model; empty: there are none. */
export function skillsPrompt(skills: readonly Skill[], maxChars: number): string {
  if (skills.length === 0) return ''
  const texts = givenSkills(skills, maxChars).map(({ name, description, path, body }) => {
    const says = body === null ? `Its text is in ${path}.` : body
    return `<skill name="${name}">\n${description}\n\n${says}\n</skill>`
  })
  return `Use these skills where they fit what you are asked:\n\n${texts.join('\n\n')}`
}
