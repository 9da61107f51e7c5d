import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fp from 'fastify-plugin'
import { resolveConfigPath } from '../src/config/paths.js'
import type { Config } from '../src/config/schema.js'
import { EVENTS } from '../src/protocol/index.js'
import type { SkillFolder } from '../src/skills/scan.js'
import { Skills } from '../src/skills/skills.js'
import { SkillWatcher } from '../src/skills/watcher.js'
import { OTHERS_SHARE } from './closing.js'

declare module 'fastify' {
  interface FastifyInstance {
    skills: Skills
  }
}

export interface SkillsPluginOptions {
  config: Config
  home: string
  baseDir: string
}

/** The skills: read at the start, watched from then on, given to agents with each run. */
export default fp<SkillsPluginOptions>(
  async (app, { config, home, baseDir }) => {
    const { log, events } = app
    const folders = [
      builtIn(),
      { source: 'user', path: join(home, 'skills'), optional: true } as const,
      ...config.skills.folders.map((folder): SkillFolder => {
        return { source: 'workspace', path: resolveConfigPath(baseDir, folder), optional: false }
      }),
    ]
    const skills = new Skills({
      ...config.skills,
      folders,
      env: process.env,
      log,
      onChanged: (changes) => {
        log.info(changes, 'skills changed')
        const { name: event } = EVENTS.skillsChanged
        const payload = JSON.stringify(changes)
        events.broadcast({ event, sessionKey: null, at: Date.now(), payload, seq: 0 })
      },
    })
    const watched = folders.filter(({ source }) => source !== 'builtin').map(({ path }) => path)
    const watcher = new SkillWatcher(watched, () => skills.reload())
    app.decorate('skills', skills)
    app.addHook('onReady', async () => {
      await watcher.start()
      warnOfUnknown(config, skills, log)
    })
    app.addHook('onClose', async () => app.closing.step('skills', () => watcher.close(), OTHERS_SHARE))
  },
  { name: 'skills', dependencies: ['closing', 'events'], fastify: '5.x' },
)

/** `skills` beside the nearest package.json above this file, wherever it was compiled to. */
function builtIn(): SkillFolder {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return { source: 'builtin', path: join(folder, 'skills'), optional: true }
}

/** A skill may come later, so that it is no mistake; but it may well be one. */
function warnOfUnknown(
  { agents }: Config,
  skills: Skills,
  log: { warn(fields: object, message: string): void },
): void {
  for (const [agent, { skills: selection }] of Object.entries(agents)) {
    if (!Array.isArray(selection)) continue
    const unknown = selection.filter((name) => !skills.has(name))
    if (unknown.length > 0) log.warn({ agent, skills: unknown }, 'an agent names skills that are not there')
  }
}
