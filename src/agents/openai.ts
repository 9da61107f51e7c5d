import { parseOptions } from '../config/parse-options.js'
import { GatewayError, type JsonObject } from '../protocol/index.js'
import { traceOf } from '../tracing/trace-context.js'
import { abortable, abortError } from './abort.js'
import type { Agent, AgentFactoryContext, AgentReply, RunContext } from './agent.js'
import { refusal, silent } from './backend/failures.js'
import { secretsOf } from './backend/options.js'
import { post } from './backend/post.js'
import { readAnswer, WHO } from './openai/answer.js'
import { failure } from './openai/failures.js'
import { type ChatMessage, chatMessages } from './openai/messages.js'
import { apiKey, checkOptions, completionsUrl, OpenAiOptions } from './openai/options.js'

/** How long a connection may take to end after an answer is done; one that ended serves the next run. */
const LINGER_MS = 50

/**
 * An agent behind any OpenAI-compatible endpoint: `POST {baseUrl}/chat/completions`, streamed. Sends the event's
 * `payload.content` after the history; an event without content is nothing to ask a model, its run ends without a message.
 *
 * @throws ConfigError
 */
export function createOpenAiAgent(given: JsonObject, { name, log, env }: AgentFactoryContext): Agent {
  const options = parseOptions(OpenAiOptions, given, (one) => checkOptions(one, env))
  const key = apiKey.read(options, env)
  const unlinked = key === undefined && options.apiKeyEnv !== undefined
  if (unlinked) {
    log.warn(
      { agent: name, variable: options.apiKeyEnv },
      'the API key of an agent is not set; its runs will fail',
    )
  }
  const endpoint = createEndpoint(options, key)
  return {
    type: 'openai',
    async run(event, run) {
      if (run.signal.aborted) throw abortError(run.signal)
      const { content } = event.payload
      if (typeof content !== 'string' || content === '') return { content: '' }
      if (unlinked) throw new GatewayError('NOT_LINKED', 'The API key of the agent is not set.')
      const history =
        options.historyLimit === 0 ? [] : await abortable(run.history(options.historyLimit), run.signal)
      return await endpoint(chatMessages(options, run.skills, history, content), run)
    },
  }
}

type Endpoint = (messages: readonly ChatMessage[], run: RunContext) => Promise<AgentReply>

function createEndpoint(options: OpenAiOptions, key: string | undefined): Endpoint {
  const url = completionsUrl(options.baseUrl)
  const common = new Headers({ accept: 'text/event-stream', 'content-type': 'application/json' })
  if (key !== undefined) common.set('authorization', `Bearer ${key}`)
  for (const [name, value] of Object.entries(options.headers)) common.set(name, value)
  const secrets = secretsOf(options.headers)
  if (key !== undefined) secrets.unshift(key)

  return async (messages, run) => {
    const { signal, log } = run
    const failures = { who: WHO, secrets, log }
    const { responseTimeoutMs, stallTimeoutMs, maxResponseBytes: maxBytes } = options
    const body = JSON.stringify(requestBody(options, messages))
    const headers = new Headers(common)
    for (const [name, value] of Object.entries(traceOf(run) ?? {})) headers.set(name, value)
    const request = { url, headers, body, responseTimeoutMs, who: WHO, signal }
    return await post(
      { ...request, failure: (error) => failure(error, failures) },
      async (response, deadline) => {
        if (!isEventStream(response)) throw await refusal(response, 'an event stream', failures)
        deadline.limit(stallTimeoutMs, silent(WHO))
        const { content, finishReason, usage } = await readAnswer(response.body!, {
          maxBytes,
          onBytes: () => deadline.touch(),
          onDelta: (text) => {
            if (!signal.aborted) run.delta(text)
          },
          onReport: (report) => run.report(report),
          onDone: () => deadline.limit(LINGER_MS, silent(WHO)),
        })
        if (content === '' && !signal.aborted) log.warn({ finishReason }, 'the model answered without a text')
        return { content, usage, metadata: finishReason === null ? undefined : { finishReason } }
      },
    )
  }
}

function requestBody(
  { model, temperature, maxTokens }: OpenAiOptions,
  messages: readonly ChatMessage[],
): object {
  return {
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    temperature,
    max_tokens: maxTokens,
  }
}

function isEventStream({ ok, body, headers }: Response): boolean {
  return ok && body !== null && /^text\/event-stream\b/i.test(headers.get('content-type') ?? '')
}
