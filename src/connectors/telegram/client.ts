import * as http from 'node:http'
import * as https from 'node:https'
import { Api, type RawApi } from 'grammy'
import { refusal, unreachable } from './errors.js'

/** Beyond the time that a poll waits: what a connection that went dead may cost. */
const GRACE_S = 15

export interface ClientOptions {
  readonly apiRoot: string
  readonly pollTimeoutS: number
}

/** grammY's types want the signals of a polyfill; what it runs takes those of Node. */
type PolyfillSignal = Parameters<RawApi['getMe']>[0]
type WithSignal<P extends unknown[]> = { [I in keyof P]: P[I] extends PolyfillSignal ? AbortSignal : P[I] }

/** The methods of core.telegram.org/bots/api. What they throw is a `GatewayError` without the token. */
export type BotApi = {
  readonly [M in keyof RawApi]: (...args: WithSignal<Parameters<RawApi[M]>>) => ReturnType<RawApi[M]>
}

export interface Client {
  readonly api: BotApi
  /** A file of at most `maxBytes`; null: it is longer. Rejects with an error that may hold the token. */
  download(path: string, maxBytes: number, signal: AbortSignal): Promise<Buffer | null>
  /** Ends the connections that are not in use. */
  release(): void
  close(): void
}

export function createClient(token: string, { apiRoot: given, pollTimeoutS }: ClientOptions): Client {
  const apiRoot = given.replace(/\/+$/, '')
  const agent = new (apiRoot.startsWith('https:') ? https : http).Agent({ keepAlive: true })
  const api = new Api(token, {
    apiRoot,
    timeoutSeconds: pollTimeoutS + GRACE_S,
    baseFetchConfig: { agent },
  })
  api.config.use(async (call, method, payload, signal) => {
    const answer = await call(method, payload, signal).catch((error: unknown) => {
      throw unreachable(error)
    })
    if (answer.ok) return answer
    throw refusal({ ...answer, description: answer.description?.replaceAll(token, '[redacted]') })
  })
  return {
    api: api.raw as unknown as BotApi,
    async download(path, maxBytes, signal) {
      const response = await fetch(`${apiRoot}/file/bot${token}/${path}`, { signal, redirect: 'error' })
      return await readUpTo(response, maxBytes)
    },
    release() {
      for (const sockets of Object.values(agent.freeSockets)) {
        for (const socket of sockets ?? []) socket.destroy()
      }
    },
    close: () => agent.destroy(),
  }
}

async function readUpTo({ ok, status, body }: Response, maxBytes: number): Promise<Buffer | null> {
  if (!ok || body === null) {
    await body?.cancel()
    throw new Error(`HTTP ${status}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop cancels the rest.
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
