import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ChatCompletionRequest, isChatCompletionBody, LLMock } from '@copilotkit/aimock'
import type { Test } from 'tap'

export type MockOptions = ConstructorParameters<typeof LLMock>[0]

/** A mock of an OpenAI-compatible endpoint, stopped with the test. */
export async function startAimock(t: Test, options: MockOptions = {}): Promise<LLMock> {
  const mock = new LLMock({ port: 0, ...options })
  await mock.start()
  t.teardown(() => mock.stop())
  return mock
}

/** The chat completion that the mock was last asked for. */
export function lastChatRequest(mock: LLMock): ChatCompletionRequest {
  const body = mock.getLastRequest()?.body
  if (!isChatCompletionBody(body)) throw new Error('the mock was not asked for a chat completion')
  return body
}

export interface Endpoint {
  readonly baseUrl: string
  /** Connections that were ever opened. */
  readonly connections: () => number
}

/** A server on loopback for what the mock cannot do; its connections are destroyed with the test. */
export async function startEndpoint(
  t: Test,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Endpoint> {
  let connections = 0
  const server = createServer((request, response) => {
    // A response may begin only after its request was read: the connection can then serve the next one.
    request.resume().once('end', () => handle(request, response))
  })
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  })
  const { port } = server.address() as AddressInfo
  return { baseUrl: `http://127.0.0.1:${port}/v1`, connections: () => connections }
}

export const EVENT_STREAM = { 'content-type': 'text/event-stream' }

/** Server-sent events, one for each value; strings stand as they are. */
export function sse(...values: unknown[]): string {
  return values
    .map((value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`)
    .join('')
}

/** A piece of a streamed chat completion. */
export function chunk(content: string | null, finishReason: string | null = null): object {
  return {
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: { content }, finish_reason: finishReason }],
  }
}
