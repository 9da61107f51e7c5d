import type { FastifyInstance } from 'fastify'
import { skillsGet, skillsList } from '../../src/protocol/index.js'

/** `skills.*`. */
export default async function skillMethods(app: FastifyInstance): Promise<void> {
  const { skills } = app

  app.method(skillsList, () => ({ skills: skills.list(), problems: skills.problems() }))

  app.method(skillsGet, ({ name }) => skills.get(name))
}
