import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Test } from 'tap'

export const TOKEN = '110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw'
export const BOT = { id: 110201543, is_bot: true, first_name: 'Lurk', username: 'LurkTestBot' }

export interface Refusal {
  readonly error_code: number
  readonly description: string
  /** The call is taken, and its answer is lost. */
  readonly silent?: boolean
  readonly parameters?: { readonly retry_after?: number }
}

interface Call {
  readonly method: string
  /** Of a JSON body; a form is only kept as `body`. */
  readonly params: Record<string, unknown>
  readonly body: string
}

type Update = { readonly update_id: number; readonly [kind: string]: unknown }

/**
 * A Bot API server of our own, written from core.telegram.org/bots/api, for what `telegram-test-api` does not show: polls
 * that wait and are acknowledged by their offset, refusals, rate limits, files.
 */
export class TelegramApi {
  readonly calls: Call[] = []
  /** What was not acknowledged yet. */
  updates: Update[] = []
  /** By path, which is the file's id as well. `null`: the download is never answered. */
  readonly files = new Map<string, Buffer | null>()
  /** The bot's messages, by id. */
  readonly messages = new Map<number, string>()
  /** What the bot wrote, each message once, in order. */
  readonly sent: { readonly chat: string; readonly text: string }[] = []
  /** Kept over a stop. */
  port = 0
  webhook = { url: '', pending_update_count: 0 }
  /** What becomes of calls, beyond `refuse`; undefined: what they ask for. */
  refusing: (method: string, params: Call['params']) => Refusal | undefined = () => undefined
  readonly #refusals = new Map<string, Refusal[]>()
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy())
  })
  #lastMessageId = 1_000
  #lastUpdateId = 0
  #waiting: (() => void) | null = null

  static async start(t: Test): Promise<TelegramApi> {
    const api = new TelegramApi()
    await api.listen(0)
    t.teardown(() => api.stop())
    return api
  }

  /** At the port that it had before, unless there is another one given. */
  async listen(port = this.port): Promise<void> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.port = (this.#server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Open connections of clients. */
  async connections(): Promise<number> {
    return await new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
    })
  }

  get isPolled(): boolean {
    return this.#waiting !== null
  }

  callsOf(method: string): Record<string, unknown>[] {
    return this.calls.filter((call) => call.method === method).map(({ params }) => params)
  }

  /** The next calls of a method are refused, one by each. */
  refuse(method: string, ...refusals: Refusal[]): void {
    this.#refusals.set(method, refusals)
  }

  say(kind: string, what: object): Update {
    const update = { update_id: ++this.#lastUpdateId, [kind]: what }
    this.updates.push(update)
    this.#waiting?.()
    return update
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, first = '', ...rest] = new URL(request.url!, 'http://localhost').pathname.split('/')
    if (first === 'file') return this.#download(rest.slice(1).join('/'), response)
    const body = await buffer(request)
    const isJson = request.headers['content-type'] === 'application/json'
    const params = isJson && body.length > 0 ? JSON.parse(body.toString()) : {}
    const method = rest.join('/')
    this.calls.push({ method, params, body: body.toString('latin1') })
    const refused = this.#refusals.get(method)?.shift() ?? this.refusing(method, params)
    let answer: object
    try {
      checkToken(first.slice('bot'.length))
      if (refused !== undefined && !refused.silent) throw refused
      answer = { ok: true, result: await this.#call(method, params, response) }
    } catch (refusal) {
      if (refusal instanceof Error) throw refusal
      answer = { ok: false, ...(refusal as Refusal) }
    }
    if (refused?.silent) return
    const status = 'error_code' in answer ? Number(answer.error_code) : 200
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }

  async #call(method: string, params: Call['params'], response: ServerResponse) {
    switch (method) {
      case 'getMe':
        return BOT
      case 'getUpdates':
        return await this.#poll(Number(params.offset), Number(params.timeout), response)
      case 'setWebhook':
        this.webhook = { url: String(params.url), pending_update_count: 0 }
        return true
      case 'getWebhookInfo':
        return this.webhook
      case 'getFile':
        return { file_id: params.file_id, file_unique_id: 'unique', file_path: params.file_id }
      case 'sendMessage':
      case 'sendPhoto':
      case 'sendDocument':
        return this.#send(params)
      case 'editMessageText':
        return this.#edit(Number(params.message_id), String(params.text))
      case 'deleteMessage':
        if (this.messages.delete(Number(params.message_id))) return true
        throw refusal(400, 'Bad Request: message to delete not found')
    }
    return true
  }

  async #poll(offset: number, timeoutS: number, response: ServerResponse): Promise<Update[]> {
    this.#waiting?.()
    this.updates = this.updates.filter(({ update_id: id }) => id >= offset)
    if (this.updates.length > 0) return this.updates
    const { promise, resolve } = withResolvers()
    const timer = setTimeout(resolve, timeoutS * 1_000)
    response.once('close', resolve)
    this.#waiting = resolve
    await promise
    clearTimeout(timer)
    if (this.#waiting === resolve) {
      this.#waiting = null
      return this.updates
    }
    throw refusal(409, 'Conflict: terminated by other getUpdates request')
  }

  #send({ chat_id, text = '' }: Call['params']): object {
    const message_id = ++this.#lastMessageId
    this.messages.set(message_id, String(text))
    this.sent.push({ chat: String(chat_id), text: String(text) })
    return { message_id, date: 1_700_000_000, chat: { id: Number(chat_id) }, text }
  }

  #edit(id: number, text: string): object {
    if (!this.messages.has(id)) throw refusal(400, 'Bad Request: message to edit not found')
    if (this.messages.get(id) === text)
      throw refusal(400, 'Bad Request: message is not modified: it is the same')
    this.messages.set(id, text)
    return { message_id: id, text }
  }

  #download(path: string, response: ServerResponse): void {
    const file = this.files.get(path)
    if (file === undefined) response.writeHead(404).end()
    else if (file !== null) response.end(file)
  }
}

function checkToken(token: string): void {
  if (!/^\d+:[\w-]+$/.test(token)) throw refusal(404, 'Not Found')
  if (token !== TOKEN) throw refusal(401, 'Unauthorized')
}

export function refusal(error_code: number, description: string): Refusal {
  return { error_code, description }
}

function withResolvers() {
  let resolve!: () => void
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

let lastMessageId = 0

/** A message as Telegram tells of it, from Ada in her private chat unless `fields` say otherwise. */
export function messageOf(text: string | undefined, fields: object = {}) {
  return {
    message_id: ++lastMessageId,
    date: 1_700_000_000,
    from: { id: 42, is_bot: false, first_name: 'Ada', last_name: 'Lovelace', username: 'ada' },
    chat: { id: 42, type: 'private', first_name: 'Ada' },
    ...(text !== undefined && { text }),
    ...fields,
  }
}

export const GROUP = { id: -1001, type: 'supergroup', title: 'Engines' }
