import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import type { Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import { type GatewayProcess, type StartOptions, startGateway } from '../helpers/gateway-process.js'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { auditSession, complaintsOf, type Message, settled } from './audit.js'

/** Streams its answer, and writes down what it was given: a witness outside the journal. */
const AGENT = `
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
export default async function* (event, context) {
  const content = event.payload.content.split(' ')[0]
  appendFileSync(new URL('./witness.log', import.meta.url), event.sessionKey + ' ' + content + '\\n')
  yield 'answer to '
  await delay(Number(process.env.AGENT_MS ?? 2), undefined, { signal: context.signal })
  yield content
}
`

export interface LedgerOptions {
  readonly sessions?: number
  /** Messages of each session. */
  readonly messages?: number
  /** Characters that make each message longer. */
  readonly padding?: number
  /** Each session's messages are sent all at once. */
  readonly burst?: boolean
  readonly config?: Record<string, unknown>
}

/**
 * Sends messages to several sessions, each in order and with idempotency keys, and keeps what the gateway has acknowledged
 * and shown, over all its lives; then audits what a client can see against that.
 */
export class Ledger {
  readonly home: string
  readonly #t: Test
  readonly #messages: Message[]
  /** Durable events as a client that resumes each time has seen them. */
  readonly #seen: Frame[] = []
  readonly #problems: string[] = []
  readonly #burst: boolean
  #epoch: string | null = null
  #onSeen: (() => void) | null = null
  #watcher: TestSocket | null = null
  #starts = 0

  private constructor(t: Test, home: string, options: LedgerOptions) {
    const { sessions = 3, messages = 6, padding = 0, burst = false } = options
    this.#burst = burst
    this.#t = t
    this.home = home
    this.#messages = Array.from({ length: sessions * messages }, (_, n) => {
      const index = Math.floor(n / sessions)
      const content = `m${index} ${'x'.repeat(padding)}`.trim()
      return { key: `chat:${n % sessions}:main`, content, idempotencyKey: `k${index}`, accepted: null }
    })
  }

  static async create(t: Test, options: LedgerOptions = {}): Promise<Ledger> {
    const home = await temporaryFolder(t)
    writeFileSync(join(home, 'agent.mjs'), AGENT)
    writeFileSync(join(home, 'witness.log'), '')
    const config = {
      defaultAgent: 'witness',
      agents: { witness: { type: 'module', path: './agent.mjs' } },
      ...options.config,
    }
    writeFileSync(join(home, 'config.json'), JSON.stringify(config))
    return new Ledger(t, home, options)
  }

  /** The same ledger for a copy of the state folder. */
  movedTo(home: string): Ledger {
    const moved = new Ledger(this.#t, home, {})
    moved.#messages.splice(0, Number.POSITIVE_INFINITY, ...structuredClone(this.#messages))
    moved.#seen.push(...this.#seen)
    moved.#epoch = this.#epoch
    moved.#starts = this.#starts
    return moved
  }

  get acknowledged(): number {
    return this.#messages.filter(({ accepted }) => accepted !== null).length
  }

  /** What of it is acknowledged, as `key content`. */
  get known(): string[] {
    const acknowledged = this.#messages.filter(({ accepted }) => accepted !== null)
    return acknowledged.map(({ key, content }) => `${key} ${content.split(' ')[0]}`)
  }

  get total(): number {
    return this.#messages.length
  }

  /** The newest position that a client has seen. */
  get position(): number {
    return this.#seen.at(-1)?.seq ?? 0
  }

  /** Resolves once a client has seen this position. */
  async reached(seq: number): Promise<void> {
    while (this.position < seq) {
      await new Promise<void>((resolve) => {
        this.#onSeen = resolve
      })
    }
  }

  /** Starts the gateway of this state folder. */
  async start(options: StartOptions = {}): Promise<GatewayProcess> {
    this.#starts++
    const gateway = await startGateway({ home: this.home, ...options })
    this.#t.teardown(() => gateway.kill9())
    return gateway
  }

  /** Starts it where it may not live to say that it is ready. */
  async startDoomed(options: StartOptions): Promise<GatewayProcess | null> {
    return this.start(options).catch((error: Error) => {
      if (/ended with SIGKILL/.test(error.message)) return null
      throw error
    })
  }

  async connect(gateway: GatewayProcess, hello: Record<string, unknown> = {}): Promise<TestSocket> {
    const socket = new TestSocket(gateway.wsUrl)
    this.#t.teardown(() => socket.terminate())
    await socket.opened
    await socket.hello(hello)
    return socket
  }

  /**
   * Sends everything, what was acknowledged before included, while a client watches that resumes where it was. Resolves
   * once all is acknowledged, or the gateway is gone.
   */
  async drive(gateway: GatewayProcess): Promise<void> {
    const watcher = await this.watch(gateway).catch(() => null)
    const sender = await this.connect(gateway).catch(() => null)
    if (watcher === null || sender === null) return void (await gateway.exited)
    const keys = new Set(this.#messages.map(({ key }) => key))
    // A burst goes out in one piece, so that one turn of the gateway's event loop brings all of it.
    const { _socket: stream } = sender.socket as unknown as { _socket: Writable }
    if (this.#burst) stream.cork()
    const sent = [...keys].map((key) => this.#sendAll(sender, key))
    if (this.#burst) stream.uncork()
    await Promise.allSettled(sent)
    sender.terminate()
  }

  /** Resolves when nothing waits or runs any more, or the gateway is gone. */
  async settled(gateway: GatewayProcess): Promise<void> {
    const idle = this.connect(gateway).then(settled, () => {})
    await Promise.race([idle.catch(() => {}), gateway.exited])
  }

  /** A client that watches from where the one before has ended, and remembers what it sees. */
  async watch(gateway: GatewayProcess): Promise<TestSocket> {
    this.#watcher?.terminate()
    this.#watcher = null
    const { position } = this
    const resume = this.#epoch === null ? {} : { resume: { epoch: this.#epoch, seq: position } }
    const watcher = await this.connect(gateway, resume)
    const { helloOk } = watcher
    if (this.#epoch !== null) {
      if (helloOk?.resume.epoch !== this.#epoch) this.#problems.push('the journal has another name')
      if (helloOk?.resume.recovered !== true) this.#problems.push(`cannot resume from ${position}`)
    }
    this.#epoch = helloOk?.resume.epoch
    this.#watcher = watcher
    let next = 0
    const take = () => {
      if (this.#watcher !== watcher) return
      for (const frame of watcher.frames.slice(next)) {
        next++
        if (frame.seq !== undefined) this.#seen.push(frame)
      }
      this.#onSeen?.()
    }
    watcher.socket.on('message', take)
    take()
    return watcher
  }

  async #sendAll(sender: TestSocket, key: string): Promise<void> {
    const messages = this.#messages.filter((message) => message.key === key)
    if (this.#burst) await Promise.all(messages.map((message) => this.#send(sender, message)))
    else for (const message of messages) await this.#send(sender, message)
  }

  async #send(sender: TestSocket, message: Message): Promise<void> {
    const { key, content, idempotencyKey, accepted } = message
    const params = { content, idempotencyKey }
    const { eventId, runId, seq, duplicate } = await sender.call('sessions.send', params, key)
    const name = `${key} ${idempotencyKey}`
    if (accepted !== null && duplicate !== true) this.#problems.push(`${name} was forgotten`)
    if (accepted !== null && eventId !== accepted.eventId) this.#problems.push(`${name} is a second one`)
    message.accepted = { eventId, runId, seq }
  }

  /**
   * Sends what was not acknowledged, waits until nothing waits, and says what does not hold of the promise: everything
   * acknowledged is there once, in order, with one final; nothing else is; a client that resumed missed nothing and saw
   * nothing twice; the gateway had nothing to complain of.
   */
  async audit(gateway: GatewayProcess, options: { readonly complaints?: RegExp } = {}): Promise<string[]> {
    await this.drive(gateway)
    if (this.acknowledged < this.total) this.#problems.push('not everything could be sent')
    const socket = await this.connect(gateway, { resume: { epoch: this.#epoch, seq: 0 } })
    await settled(socket)
    const { seq: head } = await socket.call('gateway.info')
    await socket.next((frame) => frame.seq === head)
    const log = socket.frames.filter(({ seq }) => seq !== undefined && seq <= head)
    await this.watch(gateway)
    await this.reached(head)
    this.#compareSeen(log, head)
    for (const key of new Set(this.#messages.map((message) => message.key))) {
      const sent = this.#messages.filter((message) => message.key === key)
      this.#problems.push(...auditSession(key, sent, log))
      await this.#auditHistory(key, log, socket)
    }
    this.#auditWitness()
    const complaints = complaintsOf(gateway).filter((line) => !options.complaints?.test(line))
    return [...this.#problems, ...complaints]
  }

  #compareSeen(log: readonly Frame[], head: number): void {
    const seqs = log.map(({ seq }) => seq)
    if (seqs.some((seq, n) => seq !== n + 1) || seqs.length !== head)
      this.#problems.push(`the log has a gap: ${seqs}`)
    const name = ({ seq, event, payload }: Frame) => `${seq}:${event}:${payload.messageId ?? payload.runId}`
    const ids = (frames: readonly Frame[]) => frames.map(name).join(' ')
    const seen = this.#seen.filter(({ seq }) => seq <= head)
    if (ids(seen) !== ids(log))
      this.#problems.push(`who resumed has seen ${ids(seen)}\ninstead of ${ids(log)}`)
  }

  /** What people have sent, as the histories have it: `key content`. */
  async stored(socket: TestSocket): Promise<string[]> {
    const found: string[] = []
    for (const key of new Set(this.#messages.map((message) => message.key))) {
      const { result } = await socket.request('sessions.history', { limit: 200 }, key)
      const messages: Frame[] = result?.messages ?? []
      const asked = messages.filter(({ role }) => role === 'user')
      found.push(...asked.map(({ content }) => `${key} ${content.split(' ')[0]}`))
    }
    return found
  }

  async #auditHistory(key: string, log: readonly Frame[], socket: TestSocket): Promise<void> {
    const { messages } = await socket.call('sessions.history', { limit: 200 }, key)
    const found = messages.map(({ seq }: Frame) => seq).join()
    const wanted = log.filter(({ sessionKey, event }) => sessionKey === key && event === 'session.message')
    if (found !== wanted.map(({ seq }) => seq).join()) this.#problems.push(`${key}: the history is ${found}`)
  }

  /** The agent was given each message, in order; again only the one that ran when a life ended. */
  #auditWitness(): void {
    const lines = readFileSync(join(this.home, 'witness.log'), 'utf8').trim().split('\n')
    for (const key of new Set(this.#messages.map((message) => message.key))) {
      const given = lines.filter((line) => line.startsWith(`${key} `)).map((line) => line.split(' ')[1])
      const once = given.filter((content, n) => content !== given[n - 1])
      const wanted = this.#messages.filter((message) => message.key === key)
      if (once.join() !== wanted.map(({ content }) => content.split(' ')[0]).join())
        this.#problems.push(`${key}: the agent was given ${given}`)
      if (given.length - once.length >= this.#starts) this.#problems.push(`${key}: ran too often: ${given}`)
    }
  }
}
