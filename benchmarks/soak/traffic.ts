import { setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Ledger } from './ledger.js'
import { Refused, SoakLink } from './link.js'

const SENDERS = 8
const SESSIONS = 200
const MODES = ['followup', 'collect', 'interrupt', 'steer', null]
const KINDS = ['echo', 'echo', 'echo', 'echo', 'slow', 'stream', 'stream', 'steered', 'fail', 'hang']

const pick = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)]!
const session = () => `soak:${Math.floor(Math.random() * SESSIONS)}:main`

/** Mixed traffic until `stop`: senders, watchers that come and go, readers, operators, and clients that behave badly. */
export class Traffic {
  readonly ledger = new Ledger()
  readonly #url: string
  readonly #httpUrl: string
  readonly #sending = new AbortController()
  readonly #watching = new AbortController()
  readonly #senders: Promise<void>[] = []
  readonly #others: Promise<void>[] = []

  /** @param perSecond messages that are sent in all */
  constructor(url: string, perSecond: number) {
    setMaxListeners(0, this.#sending.signal, this.#watching.signal)
    this.#url = url
    this.#httpUrl = url.replace('ws:', 'http:').replace('/ws', '')
    for (const judge of [true, false]) this.#others.push(this.#watch(judge))
    for (let n = 0; n < SENDERS; n++) this.#senders.push(this.#send((1_000 * SENDERS) / perSecond))
    for (const work of [this.#read, this.#operate, this.#churn, this.#misbehave, this.#neglect]) {
      this.#senders.push(this.#repeat(work))
    }
  }

  /** Nothing further is sent; resolves when all that was acknowledged has ended, or after `patienceMs`. */
  async stop(patienceMs: number): Promise<void> {
    this.#sending.abort()
    await Promise.all(this.#senders)
    const until = performance.now() + patienceMs
    while (this.ledger.open > 0 && performance.now() < until) await delay(100)
    this.#watching.abort()
    await Promise.all(this.#others)
  }

  async #send(everyMs: number): Promise<void> {
    const { signal } = this.#sending
    let link = await SoakLink.open(this.#url)
    await link.call('events.unsubscribe')
    for (let n = 0; !signal.aborted; n++) {
      const startedAt = performance.now()
      const content = `${pick(KINDS)} ${'x'.repeat(Math.floor(Math.random() ** 4 * 8_000))}`
      const params = { content, idempotencyKey: `${startedAt}-${n}` }
      const key = session()
      try {
        const { runId } = await link.call('sessions.send', params, key)
        this.ledger.sent(runId, startedAt)
        if (n % 10 === 0) await link.call('sessions.send', params, key)
      } catch (error) {
        if (!(error instanceof Refused)) link = await SoakLink.open(this.#url)
        else if (error.shape.retryable) this.ledger.refused++
        else this.ledger.violations.push(error.message)
      }
      await delay(everyMs * Math.random() * 2, undefined, { signal }).catch(() => {})
    }
    link.close()
  }

  /** Comes back again and again to where it was. */
  async #watch(judge: boolean): Promise<void> {
    const { signal } = this.#watching
    const watcher = {}
    let resume: { epoch: string; seq: number } | undefined
    while (!signal.aborted) {
      let gone = false
      const link = await SoakLink.open(this.#url, {
        resume,
        onEvent: (frame) => {
          if (gone) return
          this.ledger.seen(watcher, frame, judge)
          if (frame.seq && resume !== undefined) resume.seq = frame.seq
        },
      })
      const { epoch, seq, recovered } = link.hello.resume
      if (resume === undefined) resume = { epoch, seq }
      else if (!recovered) this.ledger.violations.push('a watcher could not resume')
      await delay(judge ? 7_000 : 3_000, undefined, { signal }).catch(() => {})
      gone = true
      link.close()
      this.ledger.reconnects++
    }
  }

  async #repeat(work: (this: Traffic, link: SoakLink) => Promise<void>): Promise<void> {
    const { signal } = this.#sending
    while (!signal.aborted) {
      const link = await SoakLink.open(this.#url)
      try {
        for (let n = 0; n < 20 && !signal.aborted; n++) {
          await work.call(this, link)
          await delay(100, undefined, { signal }).catch(() => {})
        }
      } catch {
        // Refused, or its connection was ended: both are what this traffic is for.
      }
      link.close()
    }
  }

  async #read(link: SoakLink): Promise<void> {
    const { sessions } = await link.call('sessions.list', { limit: 100 })
    if (sessions.length > 0)
      await link.call('sessions.history', { limit: 50 }, pick<{ key: string }>(sessions).key)
    await link.call('lanes.list')
    await fetch(`${this.#httpUrl}/metrics`).then((answer) => answer.text())
    await fetch(`${this.#httpUrl}/health`).then((answer) => answer.text())
  }

  async #operate(link: SoakLink): Promise<void> {
    const key = session()
    await link.call('sessions.patch', { queueMode: pick(MODES) }, session()).catch(() => {})
    await link.call('agent.abort', {}, key)
    await link.call(Math.random() < 0.5 ? 'sessions.reset' : 'sessions.delete', {}, key).catch(() => {})
    const { deadLetters } = await link.call('deadLetters.list', { limit: 100 })
    for (const { event } of deadLetters)
      await link.call('deadLetters.discard', { eventId: event.id }).catch(() => {})
  }

  async #churn(): Promise<void> {
    const links = await Promise.all([1, 2, 3].map(() => SoakLink.open(this.#url)))
    for (const link of links) link.close()
  }

  async #misbehave(link: SoakLink): Promise<void> {
    link.socket.send('{"type":"request"')
    await link.call('sessions.send', { content: 5 }, 'soak:bad:main').catch(() => {})
    await link.call('no.such.method').catch(() => {})
    link.socket.send(JSON.stringify({ type: 'request', id: 'gone', method: 'gateway.ping' }))
  }

  /** Does not read for a while. */
  async #neglect(link: SoakLink): Promise<void> {
    link.socket.pause()
    await delay(500, undefined, { signal: this.#sending.signal }).catch(() => {})
    link.socket.resume()
  }
}
