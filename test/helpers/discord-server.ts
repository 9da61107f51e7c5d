import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { type FormFile, readBody } from './multipart.js'

export interface DiscordPost {
  readonly id: string
  readonly channel: string
  /** As it is shown now; null: it was deleted. */
  content: string | null
  /** Each content that it had before. */
  readonly edits: string[]
  readonly body: Record<string, unknown>
  readonly files: readonly FormFile[]
}

export interface Failure {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: unknown
  /** The request is taken, and its answer is lost: the connection with it, or only the answer. */
  readonly hangUp?: boolean
  readonly silent?: boolean
}

interface Session {
  readonly id: string
  readonly events: { readonly op: 0; readonly s: number; readonly t: string; readonly d: unknown }[]
  socket: WebSocket | undefined
}

/**
 * Discord in one process, written by us from its published shapes, as there is no server of Discord's own to test with: the
 * HTTP API with its error bodies and rate limit headers (https://discord.com/developers/docs/reference), and the gateway with
 * hello, identify, heartbeats, resume and close codes (https://discord.com/developers/docs/events/gateway).
 */
export class DiscordServer {
  readonly token = 'MTIz.secret.bot-token_0123456789'
  readonly me = { id: '100', username: 'lurkbot', global_name: null, discriminator: '0', bot: true }
  readonly posts: DiscordPost[] = []
  readonly calls: { readonly route: string; readonly body: Record<string, unknown> }[] = []
  readonly typing: string[] = []
  /** Text channels that the bot may see. */
  readonly channels = new Set(['500', '501', '600'])
  readonly files = new Map<string, { readonly type: string; readonly bytes: Buffer }>()
  /** Of files: as they came, to see who is told the token. */
  readonly fileRequests: { readonly path: string; readonly authorization: string | undefined }[] = []
  /** What the bot was granted; asking for more closes with 4014. */
  grantedIntents = (1 << 9) | (1 << 12) | (1 << 15)
  heartbeatIntervalMs = 45_000
  acknowledgesHeartbeats = true
  remainingStarts = 1_000
  revoked = false
  /** A server that lost its sessions and does not say so. */
  refusesResumes = false
  /** What becomes of calls, beyond `fail`; undefined: what they ask for. */
  refuse: (route: string, channel: string) => Failure | undefined = () => undefined
  /** How sessions began: `identify` or `resume`, with where they go on. */
  readonly starts: string[] = []
  readonly heartbeats: unknown[] = []
  readonly #failures = new Map<string, Failure[]>()
  readonly #nonces = new Map<string, DiscordPost>()
  readonly #sessions = new Map<string, Session>()
  readonly #http: Server
  readonly #sockets = new WebSocketServer({ noServer: true })
  #port = 0
  #ids = 1_000

  constructor() {
    this.#http = createServer((request, response) => void this.#serve(request, response))
    this.#http.on('upgrade', (request, socket, head) => {
      const { searchParams } = new URL(request.url!, 'http://x')
      if (searchParams.get('v') !== '10') return socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#welcome(ws))
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get apiUrl(): string {
    return `${this.url}/api`
  }

  get connections(): number {
    return [...this.#sockets.clients].filter((ws) => ws.readyState === ws.OPEN).length
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#http.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (this.#http.address() as AddressInfo).port
    return this
  }

  /** As if its machine died; `start` brings it back at the same port, with the sessions that it had. */
  async kill(): Promise<void> {
    this.disconnect()
    const closed = new Promise((resolve) => this.#http.close(resolve))
    this.#http.closeAllConnections()
    await closed
  }

  /** The next calls of the route fail so, one each: `POST /channels/messages`, without ids. */
  fail(route: string, ...failures: Failure[]): void {
    this.#failures.set(route, [...(this.#failures.get(route) ?? []), ...failures])
  }

  /** A person writes; the id of the message. */
  say(fields: Record<string, unknown>): string {
    const id = String(++this.#ids)
    this.dispatch('MESSAGE_CREATE', {
      id,
      channel_id: '500',
      author: { id: '7', username: 'ada', global_name: 'Ada', discriminator: '0' },
      type: 0,
      content: '',
      timestamp: '2026-01-02T03:04:05.678000+00:00',
      edited_timestamp: null,
      mentions: [],
      mention_roles: [],
      attachments: [],
      embeds: [],
      ...fields,
    })
    return id
  }

  /** An event of every session; those that are not connected get it when they resume. */
  dispatch(t: string, d: unknown): void {
    for (const session of this.#sessions.values()) this.#event(session, t, d)
  }

  /** Any frame, to every socket. */
  sendRaw(text: string): void {
    for (const ws of this.#sockets.clients) ws.send(text)
  }

  close(code: number): void {
    for (const ws of this.#sockets.clients) ws.close(code)
  }

  /** The connections end without a word. */
  disconnect(): void {
    for (const ws of this.#sockets.clients) ws.terminate()
  }

  forgetSessions(): void {
    this.#sessions.clear()
  }

  #event(session: Session, t: string, d: unknown): void {
    const event = { op: 0 as const, s: session.events.length + 1, t, d }
    session.events.push(event)
    session.socket?.send(JSON.stringify(event))
  }

  #welcome(ws: WebSocket): void {
    const send = (op: number, d: unknown) => ws.send(JSON.stringify({ op, d, s: null, t: null }))
    ws.on('message', (data) => {
      const { op, d } = JSON.parse(String(data))
      if (op === 1) {
        this.heartbeats.push(d)
        if (this.acknowledgesHeartbeats) send(11, null)
      } else if (d.token !== this.token || this.revoked) ws.close(4004, 'Authentication failed.')
      else if (op === 2) this.#identify(ws, d)
      else if (op === 6) this.#resume(ws, d)
    })
    send(10, { heartbeat_interval: this.heartbeatIntervalMs, _trace: [] })
  }

  #identify(ws: WebSocket, { intents }: { intents: number }): void {
    if ((intents & ~this.grantedIntents) !== 0) {
      ws.close(4014, 'Disallowed intent(s).')
      return
    }
    this.starts.push('identify')
    const session: Session = { id: `session-${++this.#ids}`, events: [], socket: ws }
    this.#sessions.set(session.id, session)
    ws.on('close', () => this.#leave(session, ws))
    this.#event(session, 'READY', {
      v: 10,
      user: this.me,
      guilds: [],
      session_id: session.id,
      resume_gateway_url: `ws://127.0.0.1:${this.#port}`,
      application: { id: '1', flags: 0 },
    })
  }

  #resume(ws: WebSocket, { session_id, seq }: { session_id: string; seq: number }): void {
    this.starts.push(`resume ${seq}`)
    if (this.refusesResumes) {
      ws.terminate()
      return
    }
    const session = this.#sessions.get(session_id)
    if (session === undefined) {
      ws.send(JSON.stringify({ op: 9, d: false, s: null, t: null }))
      return
    }
    session.socket = ws
    ws.on('close', () => this.#leave(session, ws))
    for (const event of session.events.slice(seq)) ws.send(JSON.stringify(event))
    this.#event(session, 'RESUMED', { _trace: [] })
  }

  #leave(session: Session, ws: WebSocket): void {
    if (session.socket === ws) session.socket = undefined
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { pathname } = new URL(request.url!, this.url)
    if (pathname.startsWith('/files/')) return this.#serveFile(pathname, request, response)
    const path = pathname.replace('/api/v10', '')
    const route = `${request.method} ${path.replace(/\/\d+/g, '')}`
    const { body, files } = await readBody(request.headers['content-type'] ?? '', Buffer.concat(chunks))
    this.calls.push({ route, body })
    const [, channel = '', message = ''] = /^\/channels\/(\d+)(?:\/messages\/(\d+))?/.exec(path) ?? []
    const failure = this.#failures.get(route)?.shift() ?? this.refuse(route, channel)
    if (failure?.hangUp || failure?.silent) {
      this.#call(route, channel, message, body, files)
      if (failure.hangUp) request.socket.destroy()
      return
    }
    const answer: Failure =
      failure ??
      this.#refusal(request.headers.authorization) ??
      this.#call(route, channel, message, body, files)
    // As if every channel had a bucket of five in five seconds, of which one is used.
    const limits = {
      'x-ratelimit-limit': '5',
      'x-ratelimit-remaining': '4',
      'x-ratelimit-reset-after': '5.000',
      'x-ratelimit-bucket': 'abcd1234',
    }
    const type = answer.body === undefined ? {} : { 'content-type': 'application/json' }
    response.writeHead(answer.status, { ...type, ...limits, ...answer.headers })
    response.end(answer.body === undefined ? undefined : JSON.stringify(answer.body))
  }

  #refusal(authorization: string | undefined): Failure | undefined {
    const wrong = authorization !== `Bot ${this.token}` || this.revoked
    return wrong ? { status: 401, body: { message: '401: Unauthorized', code: 0 } } : undefined
  }

  #call(
    route: string,
    channel: string,
    message: string,
    body: Record<string, unknown>,
    files: DiscordPost['files'],
  ): Failure {
    if (route === 'GET /gateway/bot') {
      const session_start_limit = {
        total: 1_000,
        remaining: this.remainingStarts,
        reset_after: 3_600_000,
        max_concurrency: 1,
      }
      return { status: 200, body: { url: `ws://127.0.0.1:${this.#port}`, shards: 1, session_start_limit } }
    }
    if (!this.channels.has(channel)) return { status: 404, body: { message: 'Unknown Channel', code: 10003 } }
    if (route === 'POST /channels/typing') {
      this.typing.push(channel)
      return { status: 204 }
    }
    if (route === 'POST /channels/messages') return this.#post(channel, body, files)
    const post = this.posts.find(({ id, content }) => id === message && content !== null)
    if (post === undefined) return { status: 404, body: { message: 'Unknown Message', code: 10008 } }
    post.edits.push(post.content!)
    post.content = route.startsWith('DELETE') ? null : String(body.content)
    return post.content === null ? { status: 204 } : { status: 200, body: { id: post.id } }
  }

  #post(channel: string, body: Record<string, unknown>, files: DiscordPost['files']): Failure {
    const content = String(body.content ?? '')
    if (content === '' && files.length === 0) {
      return { status: 400, body: { message: 'Cannot send an empty message', code: 50006 } }
    }
    if (content.length > 2_000) {
      const _errors = [{ code: 'BASE_TYPE_MAX_LENGTH', message: 'Must be 2000 or fewer in length.' }]
      return {
        status: 400,
        body: { message: 'Invalid Form Body', code: 50035, errors: { content: { _errors } } },
      }
    }
    const nonce = body.enforce_nonce === true ? `${channel} ${body.nonce}` : undefined
    const known = nonce === undefined ? undefined : this.#nonces.get(nonce)
    const post = known ?? { id: String(++this.#ids), channel, content, edits: [], body, files }
    if (known === undefined) this.posts.push(post)
    if (nonce !== undefined) this.#nonces.set(nonce, post)
    return { status: 200, body: { id: post.id, channel_id: channel, content, author: this.me } }
  }

  #serveFile(path: string, request: IncomingMessage, response: ServerResponse): void {
    this.fileRequests.push({ path, authorization: request.headers.authorization })
    const file = this.files.get(path)
    if (file === undefined) response.writeHead(404).end()
    else response.writeHead(200, { 'content-type': file.type }).end(file.bytes)
  }
}

/** Runs until the test ends. */
export async function discordServer(t: Test): Promise<DiscordServer> {
  const server = await new DiscordServer().start()
  t.teardown(() => server.kill())
  return server
}
