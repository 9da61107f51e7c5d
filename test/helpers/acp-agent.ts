/**
 * A real agent of the Agent Client Protocol, on the SDK's agent side: what it is told decides what it does. The variables
 * `ACP_…` say what it is like.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type AgentContext,
  agent,
  ndJsonStream,
  PROTOCOL_VERSION,
  RequestError,
  type SessionUpdate,
} from '@agentclientprotocol/sdk'

const { ACP_LIKE = '' } = process.env
const likes = (what: string) => ACP_LIKE.split(',').includes(what)

interface Session {
  prompts: string[]
  settings: Record<string, string>
  cancel: AbortController
}
const sessions = new Map<string, Session>()
let count = 0

/** What an agent that can load sessions knows of them in a later process. */
const MEMORY = 'acp-memory.ndjson'

if (likes('stubborn')) process.on('SIGTERM', () => {})
if (likes('dies-at-start')) process.exit(7)
if (likes('chatters'))
  for (let line = 0; line < 1_000; line++) console.error(`line ${line} ${process.env.ACP_SECRET}`)
if (likes('noisy')) console.log('this is no message')

function newSession(): Session {
  return { prompts: [], settings: {}, cancel: new AbortController() }
}

function remembered(sessionId: string): Session {
  if (!existsSync(MEMORY)) throw RequestError.sessionNotFound(sessionId)
  const lines = readFileSync(MEMORY, 'utf8').trimEnd().split('\n')
  const known = lines.map((line) => JSON.parse(line)).filter((one) => one.sessionId === sessionId)
  if (known.length === 0) throw RequestError.sessionNotFound(sessionId)
  return { ...newSession(), prompts: known.map(({ text }) => text) }
}

const modes = {
  currentModeId: 'code',
  availableModes: [
    { id: 'code', name: 'Code' },
    { id: 'plan', name: 'Plan' },
  ],
}
const configOptions = [
  {
    id: 'the-model',
    name: 'Model',
    category: 'model' as const,
    type: 'select' as const,
    currentValue: 'small',
    options: [
      { value: 'small', name: 'Small' },
      { value: 'big', name: 'Big' },
    ],
  },
]

async function perform(
  text: string,
  sessionId: string,
  session: Session,
  client: AgentContext,
  meta: unknown,
): Promise<void> {
  const tell = (update: SessionUpdate) => client.notify('session/update', { sessionId, update })
  const say = (said: string) =>
    tell({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: said } })
  switch (text) {
    case 'ask':
      await say('Hello, ')
      return say('you!')
    case 'hang':
      await say('Well')
      return new Promise((resolve) => session.cancel.signal.addEventListener('abort', () => resolve()))
    case 'slow':
      await new Promise<void>((resolve) => session.cancel.signal.addEventListener('abort', () => resolve()))
      await delay(100)
      return say('late')
    case 'deaf':
      return new Promise(() => {})
    case 'fail':
      throw RequestError.internalError(undefined, `no luck, ${process.env.ACP_SECRET}\n    at file.js:1:1`)
    case 'refuse':
      throw RequestError.invalidParams(undefined, 'never')
    case 'lose':
      throw RequestError.sessionNotFound(sessionId)
    case 'sign in':
      throw RequestError.authRequired()
    case 'crash':
      await say('Oh')
      process.exit(3)
      break
    case 'work':
      await tell({ sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text: 'Hm.' } })
      await say('Let me look.')
      await tell({
        sessionUpdate: 'tool_call',
        toolCallId: 'c1',
        title: 'Look',
        status: 'pending',
        rawInput: { path: 'x' },
      })
      await tell({ sessionUpdate: 'plan', entries: [] })
      await tell({ sessionUpdate: 'tool_call_update', toolCallId: 'c1', status: 'in_progress' })
      await tell({
        sessionUpdate: 'tool_call_update',
        toolCallId: 'c1',
        status: 'completed',
        content: [{ type: 'content', content: { type: 'text', text: 'found' } }],
      })
      await client.notify('session/update', { sessionId, update: { sessionUpdate: 'newer' } } as never)
      await tell({ sessionUpdate: 'usage_update', used: 10, size: 100 })
      return say('It is there.')
    case 'permission': {
      const { outcome } = await client.request('session/request_permission', {
        sessionId,
        toolCall: { toolCallId: 'c2', title: 'Delete x', rawInput: { path: 'x' } },
        options: [
          { optionId: 'always', name: 'Always', kind: 'allow_always' },
          { optionId: 'yes', name: 'Yes', kind: 'allow_once' },
          { optionId: 'no', name: 'No', kind: 'reject_once' },
        ],
      })
      return say(JSON.stringify(outcome))
    }
    case 'flood':
      for (let pieces = 0; pieces < 1_000; pieces++) await say('x'.repeat(1_000))
      return
    case 'huge':
      return say('x'.repeat(100_000))
    case 'who':
      return say(
        JSON.stringify({ pid: process.pid, sessionId, settings: session.settings, cwd: process.cwd() }),
      )
    case 'meta':
      return say(JSON.stringify(meta ?? null))
    case 'environment':
      return say(JSON.stringify(process.env))
    default:
      return say(JSON.stringify(session.prompts))
  }
}

agent({ name: 'test-agent' })
  .onRequest('initialize', async () => {
    if (likes('silent')) await new Promise(() => {})
    return {
      protocolVersion: likes('old') ? 0 : PROTOCOL_VERSION,
      agentCapabilities: {
        loadSession: likes('loads'),
        sessionCapabilities: { ...(likes('resumes') && { resume: {} }), close: {} },
      },
    }
  })
  .onRequest('session/new', () => {
    const sessionId = `s${++count}-${process.pid}`
    sessions.set(sessionId, newSession())
    return { sessionId, modes, configOptions }
  })
  .onRequest('session/load', async ({ params: { sessionId }, client }) => {
    sessions.set(sessionId, remembered(sessionId))
    const content = { type: 'text' as const, text: 'a replay' }
    await client.notify('session/update', {
      sessionId,
      update: { sessionUpdate: 'agent_message_chunk', content },
    })
    return { modes, configOptions }
  })
  .onRequest('session/resume', ({ params: { sessionId } }) => {
    sessions.set(sessionId, remembered(sessionId))
    return { modes, configOptions }
  })
  .onRequest('session/close', ({ params: { sessionId } }) => {
    sessions.delete(sessionId)
  })
  .onRequest('session/set_mode', ({ params: { sessionId, modeId } }) => {
    sessions.get(sessionId)!.settings.mode = modeId
    return {}
  })
  .onRequest('session/set_config_option', ({ params: { sessionId, configId, value } }) => {
    sessions.get(sessionId)!.settings[configId] = String(value)
    return { configOptions }
  })
  .onRequest('session/prompt', async ({ params: { sessionId, prompt, _meta }, client }) => {
    const session = sessions.get(sessionId)
    if (session === undefined) throw RequestError.sessionNotFound(sessionId)
    session.cancel = new AbortController()
    const text = prompt.map((block) => (block.type === 'text' ? block.text : '')).join('')
    session.prompts.push(text)
    if (likes('loads') || likes('resumes')) appendFileSync(MEMORY, `${JSON.stringify({ sessionId, text })}\n`)
    await perform(text.split('\n').at(-1)!, sessionId, session, client, _meta)
    return { stopReason: session.cancel.signal.aborted ? 'cancelled' : 'end_turn' }
  })
  .onNotification('session/cancel', ({ params: { sessionId } }) => sessions.get(sessionId)?.cancel.abort())
  .connect(
    ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin) as ReadableStream<Uint8Array>),
  )
