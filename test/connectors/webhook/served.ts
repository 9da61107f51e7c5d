import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Test } from 'tap'
import { createWebhookConnector } from '../../../src/connectors/webhook/webhook.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { type ConnectorHost, connectorContext, hostOf } from '../../helpers/connector-host.js'

export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
export const OTHER_SECRET = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'

/** A webhook connector that listens, and the address of an HTTP server that hands it what is posted there. */
export async function serve(
  t: Test,
  options: JsonObject,
  env: NodeJS.ProcessEnv = {},
): Promise<{ host: ConnectorHost; url: string }> {
  const host = hostOf(t, await createWebhookConnector(options, connectorContext({ env, channel: 'hook' })))
  await host.start()
  const server = createServer(async (request, response) => {
    const answer = await host.connector.endpoint!(
      {
        headers: textHeaders(request.headers),
        body: await buffer(request),
        remoteAddress: request.socket.remoteAddress!,
        signal: AbortSignal.timeout(10_000),
      },
      host,
    )
    response.writeHead(answer.status, answer.headers).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close().closeAllConnections())
  return { host, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/channels/hook` }
}

function textHeaders(headers: IncomingHttpHeaders): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value?.toString()]))
}

export interface Posted {
  readonly status: number
  readonly retryAfter: string | null
  readonly answer: Record<string, unknown>
}

export async function post(url: string, body: string, headers: Record<string, string> = {}): Promise<Posted> {
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
  })
  const answer = (await response.json()) as Record<string, unknown>
  return { status: response.status, retryAfter: response.headers.get('retry-after'), answer }
}
