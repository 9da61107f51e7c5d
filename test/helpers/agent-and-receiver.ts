import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { Test } from 'tap'
import { until } from './until.js'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  // biome-ignore lint/suspicious/noExplicitAny: what was sent is what tests are about
  readonly body: any
}

/** A server that is the agent `mine` at `/agent` and the platform of the channel `desk` at `/platform`. */
export async function startAgentAndReceiver(
  t: Test,
  /** Answers a run; default: at once. */
  answer: (response: ServerResponse, received: Received) => void = (response) =>
    response.setHeader('content-type', 'application/json').end('{"content":"Hello yourself."}'),
) {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    const one = { path: request.url!, headers: request.headers, body: await json(request) }
    received.push(one)
    if (one.path === '/agent') answer(response, one)
    else response.writeHead(204).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close().closeAllConnections())
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    config: {
      defaultAgent: 'mine',
      agents: { mine: { type: 'http', url: `${base}/agent` } },
      connectors: {
        hook: { type: 'webhook', channel: 'desk', verify: 'none', url: `${base}/platform`, allow: ['*'] },
      },
    },
    base,
    received,
    /** The first `count` requests at a path; waits for them. */
    async at(path: string, count = 1): Promise<Received[]> {
      const there = () => received.filter((one) => one.path === path)
      await until(() => there().length >= count)
      return there()
    },
  }
}
