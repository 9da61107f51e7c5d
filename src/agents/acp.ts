import { stat } from 'node:fs/promises'
import type { ContentBlock } from '@agentclientprotocol/sdk'
import { parseOptions } from '../config/parse-options.js'
import { resolveConfigPath } from '../config/paths.js'
import { ConfigError } from '../config/problems.js'
import type { JsonObject } from '../protocol/index.js'
import { skillsPrompt } from '../skills/given.js'
import { abortable, abortError } from './abort.js'
import { Conversations } from './acp/conversations.js'
import { agentFailure, isUnknownSession } from './acp/failures.js'
import { Launcher } from './acp/launcher.js'
import type { Link } from './acp/link.js'
import { AcpOptions } from './acp/options.js'
import { prompt } from './acp/prompt.js'
import type { Agent, AgentFactoryContext, RunContext } from './agent.js'
import { newest } from './backend/history.js'
import { secretsOf } from './backend/options.js'

/**
 * An agent that speaks the Agent Client Protocol on its standard input and output: one process, started at the first run, and
 * in it a session for each of the gateway's.
 *
 * @throws ConfigError
 */
export async function createAcpAgent(given: JsonObject, context: AgentFactoryContext): Promise<Agent> {
  const options = parseOptions(AcpOptions, given)
  const { name, log, baseDir } = context
  const cwd = resolveConfigPath(baseDir, options.cwd)
  const isFolder = await stat(cwd).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
  if (!isFolder) throw new ConfigError([{ path: 'cwd', message: `expected a folder, found none (${cwd})` }])
  const isPath = /[/\\]/.test(options.command)
  const command = isPath ? resolveConfigPath(baseDir, options.command) : options.command
  const env = { ...withoutOwn(context.env), ...options.env }
  const secrets = secretsOf(options.env)
  const launcher = new Launcher({ ...options, name, log, command, cwd, env, secrets })
  const conversations = new Conversations({ ...options, cwd })

  return {
    type: 'acp',
    async run(event, run) {
      const { signal } = run
      if (signal.aborted) throw abortError(signal)
      const { content } = event.payload
      if (typeof content !== 'string' || content === '') return { content: '' }
      launcher.enter()
      let link: Link | undefined
      let release = () => {}
      let over = Promise.resolve()
      try {
        link = await abortable(launcher.link(), signal)
        const held = await conversations.acquire(event.sessionKey, signal)
        release = held.release
        const { id, begins } = await conversations.open(held.conversation, link, run)
        const before = begins ? [...skillsOf(run), ...(await earlier(run, options))] : []
        const prompted = prompt(link, id, [...before, { type: 'text', text: content }], run)
        over = prompted.over
        const reply = await prompted.reply.catch((error: unknown) => {
          if (isUnknownSession(error)) held.conversation.id = null
          throw error
        })
        launcher.proved()
        return reply
      } catch (error) {
        if (signal.aborted) throw abortError(signal)
        if (link?.over) throw await abortable(launcher.death(link), signal)
        throw agentFailure(error, secrets)
      } finally {
        over.then(() => {
          release()
          launcher.leave()
        })
      }
    },
    close: () => launcher.close(),
  }
}

/** The skills are files that the agent can read itself: it is told where they are. */
function skillsOf({ skills }: RunContext): ContentBlock[] {
  const text = skillsPrompt(skills, 0)
  return text === '' ? [] : [{ type: 'text', text: `${text}\n\n` }]
}

/** What an agent that begins is told of the conversation. */
async function earlier(run: RunContext, options: AcpOptions): Promise<ContentBlock[]> {
  if (options.historyLimit === 0) return []
  const history = await abortable(run.history(options.historyLimit), run.signal)
  const said = newest(history, options.historyMaxChars).map(({ role, content }) => `${role}: ${content}`)
  if (said.length === 0) return []
  const text = `What was said before in this conversation:\n\n${said.join('\n\n')}\n\nWhat is said now:\n\n`
  return [{ type: 'text', text }]
}

/** The gateway's own settings, its tokens among them, are not the agent's. */
function withoutOwn(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('LURKBOT_')))
}
