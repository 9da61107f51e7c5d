import { Webhook } from 'standardwebhooks'
import { parseOptions } from '../config/parse-options.js'
import { GatewayError, type InboundEvent, type JsonObject } from '../protocol/index.js'
import { givenSkills } from '../skills/given.js'
import { traceOf } from '../tracing/trace-context.js'
import { abortable, abortError } from './abort.js'
import type { Agent, AgentFactoryContext, HistoryMessage, RunContext } from './agent.js'
import { type FailureOptions, refusal, silent } from './backend/failures.js'
import { newest } from './backend/history.js'
import { secretsOf } from './backend/options.js'
import { post } from './backend/post.js'
import { ACCEPT, readAnswer, WHO } from './http/answer.js'
import { failure } from './http/failures.js'
import { checkOptions, HttpOptions, secret as secretOption } from './http/options.js'

/** How long a connection may take to end after an answer is done; one that ended serves the next run. */
const LINGER_MS = 50

const EXPECTED = 'JSON, text, NDJSON or an event stream'

/**
 * An agent behind any HTTP server: each run is POSTed as JSON, signed by Standard Webhooks, and answered whole or streamed.
 * The event's id is the `webhook-id`: the same for every try.
 *
 * @throws ConfigError
 */
export function createHttpAgent(given: JsonObject, { name, log, env }: AgentFactoryContext): Agent {
  const options = parseOptions(HttpOptions, given, (one) => checkOptions(one, env))
  const secret = secretOption.read(options, env)
  const unlinked = secret === undefined && options.secretEnv !== undefined
  if (unlinked) {
    log.warn(
      { agent: name, variable: options.secretEnv },
      'the secret of an agent is not set; its runs will fail',
    )
  }
  const send = createSender(options, secret)
  return {
    type: 'http',
    async run(event, run) {
      if (run.signal.aborted) throw abortError(run.signal)
      if (unlinked) throw new GatewayError('NOT_LINKED', 'The secret of the agent is not set.')
      const { historyLimit, historyMaxChars } = options
      const history = historyLimit === 0 ? [] : await abortable(run.history(historyLimit), run.signal)
      return await send(event, newest(history, historyMaxChars), run)
    },
  }
}

function createSender(options: HttpOptions, secret: string | undefined) {
  const {
    responseTimeoutMs,
    stallTimeoutMs,
    maxResponseBytes: maxBytes,
    idempotent,
    skillsMaxChars,
  } = options
  const url = new URL(options.url)
  const webhook = secret === undefined ? undefined : new Webhook(secret)
  const secrets = secretsOf(options.headers)
  if (secret !== undefined) secrets.unshift(secret)

  return async (event: InboundEvent, history: readonly HistoryMessage[], run: RunContext) => {
    const { runId, attempt, events, session, signal, log } = run
    const failures: FailureOptions = { who: WHO, secrets, log }
    const skills = run.skills.length === 0 ? undefined : givenSkills(run.skills, skillsMaxChars)
    const body = JSON.stringify({ type: 'run', runId, attempt, event, events, session, history, skills })
    const headers = new Headers({
      ...options.headers,
      ...signed(webhook, event.id, body),
      accept: ACCEPT,
      'content-type': 'application/json',
      'idempotency-key': event.id,
      ...traceOf(run),
    })
    const request = { url, headers, body, responseTimeoutMs, who: WHO, signal }
    const given = { ...request, failure: (error: unknown) => failure(error, idempotent, failures) }
    return await post(given, async (response, deadline) => {
      deadline.limit(stallTimeoutMs, silent(WHO))
      let done = false
      const answer = await readAnswer(response, {
        maxBytes,
        run,
        onBytes: () => {
          if (!done) deadline.touch()
        },
        onDone: () => {
          done = true
          deadline.limit(LINGER_MS, silent(WHO))
        },
      })
      if (answer === undefined) throw await refusal(response, EXPECTED, failures)
      return answer
    })
  }
}

/** Standard Webhooks, Webhook headers. Without a secret the id is sent alone. */
function signed(webhook: Webhook | undefined, id: string, body: string): Record<string, string> {
  if (webhook === undefined) return { 'webhook-id': id }
  const now = new Date()
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': webhook.sign(id, now, body),
  }
}
