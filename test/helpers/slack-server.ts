import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'

export interface SlackPost {
  readonly channel: string
  readonly ts: string
  readonly thread: string | undefined
  /** As it is shown now; null: it was deleted. */
  text: string | null
  /** Each text that it had before. */
  readonly edits: string[]
  readonly fields: Record<string, string>
}

interface Pending {
  readonly envelope: Record<string, unknown>
  attempt: number
  timer: NodeJS.Timeout | undefined
  acknowledged: () => void
}

export interface Failure {
  readonly error?: string
  readonly needed?: string
  readonly status?: number
  readonly retryAfter?: number
  /** Sent as it is, with `status`. */
  readonly body?: string
  /** The request is taken, and its answer is lost: the connection with it, or only the answer. */
  readonly hangUp?: boolean
  readonly silent?: boolean
}

/**
 * Slack in one process, written by us from its published shapes, as there is no server of Slack's own to test with: the Web
 * API as forms over HTTP (https://docs.slack.dev/apis/web-api), socket mode with hello, envelopes, acknowledgements and
 * redelivery (https://docs.slack.dev/apis/events-api/using-socket-mode), and files.
 */
export class SlackServer {
  readonly botToken = 'xoxb-1111-2222-secretbot'
  readonly appToken = 'xapp-1-A1-3333-secretapp'
  readonly botUser = 'UBOT'
  readonly users = new Map<string, { name: string; profile?: { display_name?: string } }>([
    ['UBOT', { name: 'lurkbot' }],
    ['U1', { name: 'ada', profile: { display_name: 'Ada' } }],
    ['U2', { name: 'bob' }],
  ])
  /** Conversations that the bot is in. */
  readonly channels = new Set(['C1', 'C2', 'D1', 'G1'])
  readonly posts: SlackPost[] = []
  readonly calls: { readonly method: string; readonly fields: Record<string, string> }[] = []
  /** By path; what needs the token answers with the login page without it. */
  readonly files = new Map<string, { type: string; bytes: Buffer; redirect?: string }>()
  readonly fileRequests: { readonly path: string; readonly authorization: string | undefined }[] = []
  readonly uploads = new Map<string, Buffer>()
  readonly shared: Record<string, string>[] = []
  /** How long Slack waits for an acknowledgement: 3 s there, less here. */
  ackTimeoutMs = 3_000
  revoked = false
  /** What becomes of calls, beyond `fail`; undefined: what they ask for. */
  refuse: (method: string, fields: Record<string, string>) => Failure | undefined = () => undefined
  readonly #failures = new Map<string, Failure[]>()
  readonly #pending = new Map<string, Pending>()
  readonly #tickets = new Set<string>()
  readonly #http: Server
  readonly #sockets = new WebSocketServer({ noServer: true })
  #port = 0
  #clock = 1_700_000_000

  constructor() {
    this.#http = createServer((request, response) => void this.#serve(request, response))
    this.#http.on('upgrade', (request, socket, head) => {
      const ticket = new URL(request.url!, 'http://x').searchParams.get('ticket')
      if (!this.#tickets.delete(ticket ?? '')) return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
      this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#welcome(ws))
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get apiUrl(): string {
    return `${this.url}/api/`
  }

  get connections(): number {
    return [...this.#sockets.clients].filter((ws) => ws.readyState === ws.OPEN).length
  }

  /** Deliveries that no one has acknowledged. */
  get unacknowledged(): number {
    return this.#pending.size
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#http.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (this.#http.address() as AddressInfo).port
    return this
  }

  /** As if its machine died; `start` brings it back at the same port. */
  async kill(): Promise<void> {
    for (const { timer } of this.#pending.values()) clearTimeout(timer)
    for (const ws of this.#sockets.clients) ws.terminate()
    const closed = new Promise((resolve) => this.#http.close(resolve))
    this.#http.closeAllConnections()
    await closed
  }

  /** The next calls of the method fail so, one each. */
  fail(method: string, ...failures: Failure[]): void {
    this.#failures.set(method, [...(this.#failures.get(method) ?? []), ...failures])
  }

  /** A time stamp, as messages have them for ids. */
  ts(): string {
    return `${++this.#clock}.000100`
  }

  /** A person writes; resolves once it is acknowledged. Returns what the event was made of at once. */
  say(fields: Record<string, unknown>): { readonly ts: string; readonly acknowledged: Promise<void> } {
    const ts = this.ts()
    const event = { type: 'message', user: 'U1', channel: 'D1', channel_type: 'im', text: '', ts, ...fields }
    return { ts: event.ts, acknowledged: this.dispatch({ event }) }
  }

  /** Sends an envelope, again and again until it is acknowledged. */
  dispatch(payload: unknown, type = 'events_api'): Promise<void> {
    const envelope = {
      envelope_id: randomUUID(),
      type,
      payload,
      accepts_response_payload: type !== 'events_api',
    }
    return new Promise((acknowledged) => {
      const pending: Pending = { envelope, attempt: 0, timer: undefined, acknowledged }
      this.#pending.set(envelope.envelope_id, pending)
      this.#deliver(pending)
    })
  }

  /** Any frame, to every socket. */
  sendRaw(text: string): void {
    for (const ws of this.#sockets.clients) ws.send(text)
  }

  disconnect(reason: string): void {
    this.sendRaw(JSON.stringify({ type: 'disconnect', reason, debug_info: { host: 'applink-1' } }))
  }

  #deliver(pending: Pending): void {
    const ws = [...this.#sockets.clients].find(({ readyState, OPEN }) => readyState === OPEN)
    if (ws === undefined) return
    const retry = pending.attempt > 0 ? { retry_attempt: pending.attempt, retry_reason: 'timeout' } : {}
    ws.send(JSON.stringify({ ...pending.envelope, ...retry }))
    pending.attempt++
    pending.timer = setTimeout(() => this.#deliver(pending), this.ackTimeoutMs)
  }

  #welcome(ws: WebSocket): void {
    ws.on('message', (data) => {
      const { envelope_id: id } = JSON.parse(String(data))
      const pending = this.#pending.get(id)
      if (pending === undefined) return
      clearTimeout(pending.timer)
      this.#pending.delete(id)
      pending.acknowledged()
    })
    ws.send(
      JSON.stringify({
        type: 'hello',
        num_connections: 1,
        connection_info: { app_id: 'A1' },
        debug_info: {},
      }),
    )
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer)
      this.#deliver(pending)
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const { pathname } = new URL(request.url!, this.url)
    const { authorization } = request.headers
    if (pathname.startsWith('/files/')) return this.#serveFile(pathname, authorization, response)
    if (pathname.startsWith('/upload/')) {
      this.uploads.set(pathname.slice('/upload/'.length), body)
      response.end('OK')
      return
    }
    const method = pathname.slice('/api/'.length)
    const fields = Object.fromEntries(new URLSearchParams(body.toString()))
    this.calls.push({ method, fields })
    const failure = this.#failures.get(method)?.shift() ?? this.refuse(method, fields)
    if (failure?.hangUp || failure?.silent) {
      this.#call(method, fields)
      if (failure.hangUp) request.socket.destroy()
      return
    }
    if (failure?.status !== undefined) {
      const headers = failure.retryAfter === undefined ? {} : { 'retry-after': String(failure.retryAfter) }
      response.writeHead(failure.status, headers).end(failure.body ?? '{"ok":false,"error":"ratelimited"}')
      return
    }
    const answer = failure ?? this.#refusal(method, authorization) ?? this.#call(method, fields)
    response.setHeader('content-type', 'application/json; charset=utf-8')
    response.end(JSON.stringify({ ok: !('error' in answer), ...answer }))
  }

  #refusal(method: string, authorization: string | undefined): { error: string } | undefined {
    const token = method === 'apps.connections.open' ? this.appToken : this.botToken
    if (authorization === undefined) return { error: 'not_authed' }
    if (authorization !== `Bearer ${token}`) return { error: 'invalid_auth' }
    return this.revoked ? { error: 'token_revoked' } : undefined
  }

  #call(method: string, fields: Record<string, string>): Record<string, unknown> {
    switch (method) {
      case 'auth.test':
        return {
          url: this.url,
          team: 'Lab',
          user: 'lurkbot',
          team_id: 'T1',
          user_id: this.botUser,
          bot_id: 'B1',
        }
      case 'apps.connections.open': {
        const ticket = randomUUID()
        this.#tickets.add(ticket)
        return { url: `ws://127.0.0.1:${this.#port}/link/?ticket=${ticket}&app_id=A1` }
      }
      case 'users.info': {
        const user = this.users.get(fields.user!)
        return user === undefined ? { error: 'user_not_found' } : { user: { id: fields.user, ...user } }
      }
      case 'chat.postMessage':
        return this.#post(fields)
      case 'chat.update':
      case 'chat.delete':
        return this.#edit(fields, method === 'chat.delete')
      case 'files.getUploadURLExternal': {
        const id = `F${this.uploads.size + 1}`
        return { file_id: id, upload_url: `${this.url}/upload/${id}` }
      }
      case 'files.completeUploadExternal':
        this.shared.push(fields)
        return { files: JSON.parse(fields.files!) }
      default:
        return { error: 'unknown_method' }
    }
  }

  #post(fields: Record<string, string>): Record<string, unknown> {
    const { channel = '', thread_ts: thread } = fields
    const text = fields.markdown_text ?? fields.text ?? ''
    if (!this.channels.has(channel)) return { error: 'channel_not_found' }
    if (text === '') return { error: 'no_text' }
    const post: SlackPost = { channel, ts: this.ts(), thread, text, edits: [], fields }
    this.posts.push(post)
    return { channel, ts: post.ts, message: { type: 'message', bot_id: 'B1', text, ts: post.ts } }
  }

  #edit(fields: Record<string, string>, remove: boolean): Record<string, unknown> {
    const post = this.posts.find(({ channel, ts }) => channel === fields.channel && ts === fields.ts)
    if (post === undefined || post.text === null) return { error: 'message_not_found' }
    post.edits.push(post.text)
    post.text = remove ? null : (fields.markdown_text ?? fields.text ?? '')
    return { channel: post.channel, ts: post.ts }
  }

  #serveFile(path: string, authorization: string | undefined, response: ServerResponse): void {
    this.fileRequests.push({ path, authorization })
    const file = this.files.get(path)
    if (file === undefined) response.writeHead(404).end()
    else if (file.redirect !== undefined) response.writeHead(302, { location: file.redirect }).end()
    else if (authorization !== `Bearer ${this.botToken}`) {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>Sign in</html>')
    } else response.writeHead(200, { 'content-type': file.type }).end(file.bytes)
  }
}

/** Runs until the test ends. */
export async function slackServer(t: Test): Promise<SlackServer> {
  const server = await new SlackServer().start()
  t.teardown(() => server.kill())
  return server
}
