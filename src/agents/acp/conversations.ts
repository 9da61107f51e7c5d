import { RequestError } from '@agentclientprotocol/sdk'
import { GatewayError } from '../../protocol/index.js'
import { abortable } from '../abort.js'
import type { RunContext } from '../agent.js'
import { Deadline } from '../deadline.js'
import type { Link } from './link.js'
import type { AcpOptions } from './options.js'
import { choose, type Offer } from './settings.js'

/** What the agent knows of one session of the gateway. */
export class Conversation {
  /** The agent's session, and the process that has it. */
  id: string | null = null
  link: Link | null = null
  /** Runs that have it or wait for it. */
  users = 0
  /** Resolves when the last of these is over. */
  tail: Promise<void> = Promise.resolve()
}

export interface ConversationsOptions
  extends Pick<AcpOptions, 'mode' | 'model' | 'maxSessions' | 'startTimeoutMs' | 'cancelTimeoutMs'> {
  readonly cwd: string
}

/** The agent's sessions, one for each of the gateway's, by its key; those that rested longest come first. */
export class Conversations {
  readonly #options: ConversationsOptions
  readonly #byKey = new Map<string, Conversation>()

  constructor(options: ConversationsOptions) {
    this.#options = options
  }

  /** One run at a time has a conversation, until it calls `release`. @throws `UNAVAILABLE` when there are too many */
  async acquire(
    key: string,
    signal: AbortSignal,
  ): Promise<{ conversation: Conversation; release: () => void }> {
    const conversation = this.#touch(key)
    const before = conversation.tail
    let over = () => {}
    const own = new Promise<void>((resolve) => {
      over = resolve
    })
    conversation.tail = before.then(() => own)
    conversation.users++
    const release = () => {
      conversation.users--
      over()
    }
    try {
      if (await this.#settled(before, signal)) return { conversation, release }
    } catch (error) {
      release()
      throw error
    }
    // Whoever has it does not stop: it stays behind, and the next begins anew.
    release()
    if (this.#byKey.get(key) === conversation) this.#byKey.delete(key)
    this.#forget(conversation)
    return await this.acquire(key, signal)
  }

  /**
   * Has the agent begin or take up the conversation.
   *
   * @returns the agent’s session, and whether it begins: then it knows nothing of what was said before
   */
  async open(
    conversation: Conversation,
    link: Link,
    run: RunContext,
  ): Promise<{ id: string; begins: boolean }> {
    // Nothing was said before: the session is new, or was reset.
    const isNew = (await abortable(run.history(1), run.signal)).length === 0
    const deadline = new Deadline(run.signal)
    const message = 'The agent did not begin the conversation in time.'
    deadline.limit(this.#options.startTimeoutMs, new GatewayError('AGENT_TIMEOUT', message))
    try {
      const { id } = conversation
      if (id !== null && !isNew) {
        const knows = conversation.link === link || (await this.#resume(id, link, deadline.signal))
        if (knows) {
          conversation.link = link
          return { id, begins: false }
        }
      }
      this.#forget(conversation)
      const { cwd } = this.#options
      const session = await abortable(
        link.agent.request('session/new', { cwd, mcpServers: [] }),
        deadline.signal,
      )
      await choose(link, session.sessionId, session, this.#options, deadline.signal)
      conversation.id = session.sessionId
      conversation.link = link
      return { id: session.sessionId, begins: true }
    } finally {
      deadline.close()
    }
  }

  /** The one of a key, now the one used last; a new one may take the place of another that rests. */
  #touch(key: string): Conversation {
    const known = this.#byKey.get(key)
    if (known !== undefined) {
      this.#byKey.delete(key)
      this.#byKey.set(key, known)
      return known
    }
    const { maxSessions } = this.#options
    if (this.#byKey.size >= maxSessions) {
      const resting = [...this.#byKey].find(([, { users }]) => users === 0)
      if (resting === undefined) {
        const message = `The agent works on ${maxSessions} conversations already.`
        throw new GatewayError('UNAVAILABLE', message)
      }
      this.#byKey.delete(resting[0])
      this.#forget(resting[1])
    }
    const conversation = new Conversation()
    this.#byKey.set(key, conversation)
    return conversation
  }

  /** Whether it was over in time. */
  async #settled(before: Promise<void>, signal: AbortSignal): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), this.#options.cancelTimeoutMs)
    })
    try {
      return await abortable(Promise.race([before.then(() => true), late]), signal)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Whether the agent, in a new process, knows a session of an earlier one. */
  async #resume(sessionId: string, link: Link, signal: AbortSignal): Promise<boolean> {
    const { loadSession, sessionCapabilities } = link.capabilities
    const params = { sessionId, cwd: this.#options.cwd, mcpServers: [] }
    try {
      let offer: Offer
      if (sessionCapabilities?.resume)
        offer = await abortable(link.agent.request('session/resume', params), signal)
      else if (loadSession) offer = await abortable(link.agent.request('session/load', params), signal)
      else return false
      await choose(link, sessionId, offer, this.#options, signal)
      return true
    } catch (error) {
      // Whatever the agent has against it: the conversation can begin anew.
      if (error instanceof RequestError && !link.over) return false
      throw error
    }
  }

  /** The agent may forget it, too. */
  #forget(conversation: Conversation): void {
    const { id, link } = conversation
    conversation.id = null
    conversation.link = null
    if (id === null || link === null || link.over || !link.capabilities.sessionCapabilities?.close) return
    link.agent.request('session/close', { sessionId: id }).catch(() => {})
  }
}
