import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import type { Test } from 'tap'
import { createNodeClient, type GatewayClient } from '../../../src/client/node.js'
import type { ErrorShape, JsonObject, RequestFrame } from '../../../src/protocol/index.js'
import {
  Inbox,
  type ScriptedConnection,
  type ScriptedGateway,
  scriptedGateway,
} from '../../client/scripted-gateway.js'

export const SESSION = 'cli:test:main'

/** A scripted gateway that answers the small talk of a chat by itself and leaves the conversation to the test. */
export interface ChatGateway {
  readonly gateway: ScriptedGateway
  readonly client: GatewayClient
  /** What was asked besides the small talk: `sessions.send`, `agent.abort`, … */
  readonly asked: Inbox<RequestFrame>
  /** What agents ask, as `agent.questions` tells. */
  readonly questions: JsonObject[]
  /** The present connection. */
  connection(): ScriptedConnection
  /** Accepts the next connection, of a client that comes back. */
  accept(resume: { epoch: string; seq: number; recovered: boolean }): Promise<void>
  event(event: string, payload: JsonObject, seq?: number, sessionKey?: string): void
  answer(request: RequestFrame, result: unknown): void
  fail(request: RequestFrame, error: Partial<ErrorShape>): void
}

export async function chatGateway(t: Test, history: JsonObject[] = []): Promise<ChatGateway> {
  const gateway = await scriptedGateway()
  const client = createNodeClient({
    url: gateway.url,
    client: { id: 'test', version: '1', platform: 'test', mode: 'cli' },
    reconnect: { minMs: 1, maxMs: 2 },
  })
  t.teardown(async () => {
    client.close()
    await gateway.close()
  })
  const asked = new Inbox<RequestFrame>()
  const questions: JsonObject[] = []
  let current!: ScriptedConnection
  const smallTalk = new Map<string, unknown>([
    ['events.subscribe', { subscriptions: [{ patterns: ['*'], sessionKeys: [SESSION] }] }],
    ['agent.questions', { questions }],
    ['sessions.history', { messages: history, nextCursor: null }],
  ])
  async function serve(connection: ScriptedConnection): Promise<void> {
    for (;;) {
      const request = await connection.requests.next()
      if (smallTalk.has(request.method)) connection.answer(request, smallTalk.get(request.method))
      else asked.put(request)
    }
  }
  async function accept(resume: { epoch: string; seq: number; recovered: boolean }): Promise<void> {
    current = await gateway.next()
    void serve(current)
    current.welcome(resume)
  }
  const accepted = accept({ epoch: 'e', seq: 0, recovered: false })
  await client.connect()
  await accepted
  return {
    gateway,
    client,
    asked,
    questions,
    accept,
    connection: () => current,
    event: (event, payload, seq, sessionKey = SESSION) => {
      const frame = { type: 'event' as const, id: 'x', at: 1, event, payload, sessionKey }
      current.send(seq === undefined ? frame : { ...frame, seq })
    },
    answer: (request, result) => current.answer(request, result),
    fail: (request, error) => {
      const whole = { code: 'UNAVAILABLE', message: 'no', details: null, retryable: true, ...error } as const
      current.fail(request, whole)
    },
  }
}

/** A stream whose text, without control sequences, can be waited for. */
export function screen(): {
  stream: PassThrough
  text: () => string
  shows: (text: string) => Promise<void>
} {
  const stream = new PassThrough()
  let raw = ''
  const waiting = new Set<() => void>()
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    raw += chunk
    for (const check of waiting) check()
  })
  const text = () => stripVTControlCharacters(raw)
  return {
    stream,
    text,
    shows: (expected, from = 0) =>
      new Promise((resolve) => {
        const check = () => {
          if (!text().includes(expected, from)) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
  }
}

export function message(fields: JsonObject): JsonObject {
  return {
    messageId: 'm',
    role: 'assistant',
    content: '',
    eventId: 'e1',
    runId: 'r1',
    agent: 'echo',
    ...fields,
  }
}
