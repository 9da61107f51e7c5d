import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { LookupFunction } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { ClientOptions } from 'ws'
import { PUBLIC_NAME, type ReverseProxy } from '../helpers/reverse-proxy.js'
import { TestSocket } from '../helpers/socket.js'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface AskOptions {
  /** The client's own address: any of 127.0.0.0/8, or `::1`. */
  readonly from?: string
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  /** Null: only the head of the request is sent. */
  readonly body?: string | null
  /** Without TLS. */
  readonly plain?: boolean
}

/** What the world sees of the gateway: the proxy, under its public name. */
export class PublicSide {
  readonly #t: Test
  readonly #proxy: ReverseProxy

  constructor(t: Test, proxy: ReverseProxy) {
    this.#t = t
    this.#proxy = proxy
  }

  get origin(): string {
    return `https://${PUBLIC_NAME}:${this.#proxy.httpsPort}`
  }

  ask(path: string, options: AskOptions = {}): Promise<Answer> {
    const { from = '127.0.0.1', method = 'GET', headers = {}, body = '', plain = false } = options
    const url = plain ? `http://${PUBLIC_NAME}:${this.#proxy.httpPort}${path}` : this.origin + path
    const request = plain ? requestHttp : requestHttps
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, headers, agent: false, ...this.#from(from) }, async (response) => {
        try {
          const { statusCode, headers } = response
          resolve({ status: statusCode!, headers, body: await text(response) })
          sent.destroy()
        } catch (error) {
          reject(error)
        }
      })
      sent.on('error', reject)
      if (body === null) sent.flushHeaders()
      else sent.end(body)
    })
  }

  /** A WebSocket that has not said hello. */
  async open(path = '/ws', { from = '127.0.0.1', headers = {} }: AskOptions = {}): Promise<TestSocket> {
    const options = { ...this.#from(from), headers } as ClientOptions
    const socket = new TestSocket(`${this.origin.replace('https', 'wss')}${path}`, options)
    this.#t.teardown(() => socket.terminate())
    await socket.opened
    return socket
  }

  /** A WebSocket with an administrator's rights, unless its hello says otherwise. */
  async connect({
    path = '/ws',
    hello = {},
    ...options
  }: AskOptions & { path?: string; hello?: object } = {}) {
    const socket = await this.open(path, options)
    const answer = await socket.hello({ auth: { token: ADMIN_TOKEN }, ...hello })
    if (answer.type !== 'hello-ok') throw new Error(JSON.stringify(answer))
    return socket
  }

  /** The public name is that of this machine, and a client comes from the address that it is to come from. */
  #from(address: string) {
    const isV6 = address.includes(':')
    const [target, family] = isV6 ? ['::1', 6] : ['127.0.0.1', 4]
    const lookup = ((_name, { all }, done) =>
      all
        ? done(null, [{ address: target, family }])
        : done(null, target as string, family as number)) as LookupFunction
    return { localAddress: address, lookup, ca: this.#proxy.certificate.cert }
  }
}

export const ADMIN_TOKEN = 'the-token-of-an-administrator'
