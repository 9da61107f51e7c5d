import type { Static } from '@sinclair/typebox'
import type { Log } from '../log.js'
import type { GatewayError } from '../protocol/errors.js'
import type { Attachment, JsonObject } from '../protocol/index.js'
import type { TraceContext, Traced } from '../tracing/trace-context.js'

/** Where something is said: a chat, room or person of the platform, and a thread in it where the platform has such. */
export interface Target {
  /** As the platform names it: a chat id, `#room`, a JID. */
  readonly peer: string
  readonly thread: string | null
}

/** What came in from the platform; with the trace that it belongs to, where there is one. */
export interface IncomingMessage extends Target, Traced {
  /** The platform's own id of the message, unique within its peer: a message that comes again is accepted once. */
  readonly id: string
  readonly sender: { readonly id: string; readonly name?: string }
  /** Several people read here, so that the gateway answers what is meant for it only. */
  readonly group: boolean
  /** In a group: whether it names the gateway or answers one of its messages. */
  readonly mentioned: boolean
  /** Without the mention. */
  readonly text: string
  readonly attachments?: readonly Static<typeof Attachment>[]
  /**
   * Asks for names of people, its sender's and those in the text. Called once it is decided that the message is taken, or that a
   * stranger is to be told a code; takes the place of what is given here. Rejects as `files`.
   */
  readonly names?: (signal: AbortSignal) => Promise<Pick<IncomingMessage, 'sender' | 'text'>>
  /**
   * Fetches attachments that have to be asked for. Called once it is decided that the message is taken, and by whom it may be
   * written, so that strangers cost no download; what it resolves with takes the place of what is given here. Rejects only for
   * what the platform has to send again.
   */
  readonly files?: (signal: AbortSignal) => Promise<Pick<IncomingMessage, 'attachments' | 'metadata'>>
  /** When the platform says it was written. Milliseconds since the Unix epoch. */
  readonly at?: number
  /** Goes into the message's `metadata.<type of the connector>`; never a secret, such as a URL with a token in it. */
  readonly metadata?: JsonObject
}

/** What became of an incoming message; either way the platform may forget it. */
export type Received =
  | { readonly accepted: true; readonly eventId: string; readonly runId: string; readonly duplicate: boolean }
  | {
      readonly accepted: false
      /** `command`: done by the gateway itself; `refused`: its sender was told. */
      readonly reason: 'empty' | 'not_allowed' | 'not_mentioned' | 'not_paired' | 'command' | 'refused'
    }

/** The gateway, as a connector sees it. */
export interface Inlet {
  /**
   * The connection is up: what waits in the outbox is sent from now on. `identity`: who the gateway is there, such as
   * `@mybot`, for `channels.status`.
   */
  connected(identity?: string): void
  /**
   * Connected, but not with all that is configured, such as a room that does not let us in: shown in `channels.status`. Null:
   * it is whole again. May come before `connected`.
   */
  troubled(error: GatewayError | null): void
  /**
   * Hands a message over. Resolves once it is on disk, or is known to be none of ours. Rejects when it could not be taken
   * (the gateway stops, or has had no room for too long): the connector must not acknowledge it to the platform. Messages of
   * one peer are accepted in the order of the calls, so there is no need to wait for one before the next. May be called before
   * `connected`: platforms hand over what has waited for us while we still enter rooms.
   */
  receive(message: IncomingMessage): Promise<Received>
  /** Whether the gateway has a session of this conversation, from before a restart as well. */
  knows(target: Target): Promise<boolean>
}

/** A piece of a delivery that the platform takes as one message; with its trace, for platforms that take such. */
export interface OutgoingPart extends Traced {
  readonly target: Target
  /** At most `capabilities.maxLength` long; may be empty when there are attachments. */
  readonly text: string
  /** Only with the last part. */
  readonly attachments: readonly Static<typeof Attachment>[]
  /** The same at each attempt of this part, and of no other one. At most 64 visible ASCII characters. */
  readonly idempotencyKey: string
  /** The run whose answer it is; null: no run's. */
  readonly runId: string | null
  /** The platform's id of the message that it answers, where there is one. */
  readonly replyTo: string | null
  /** From 1. */
  readonly part: number
  readonly parts: number
}

export interface Sent {
  /** As the platform names the new message; null: it does not say. */
  readonly messageId: string | null
}

/** Either is understood everywhere. */
export type CommandPrefix = '/' | '!'

/** What a platform can do, and how much of it. */
export interface Capabilities {
  /** The longest message, as `lengthOf` counts. */
  readonly maxLength: number
  /** How the platform counts. Default: UTF-16 code units. */
  lengthOf?(text: string): number
  readonly threads: boolean
  readonly attachments: boolean
  /** Whether the platform drops a part that comes twice with the same key. Otherwise a kill in the wrong moment doubles it. */
  readonly idempotent: boolean
  /** Peers that are sent to at the same time. Default: 4. */
  readonly concurrency?: number
  /** How often `typing` has to be repeated, in milliseconds. */
  readonly typingIntervalMs?: number
  /** What a command begins with where people are told of it. Default: `/`; `!` is for where clients keep a `/` to themselves. */
  readonly commandPrefix?: CommandPrefix
  /** How often a message may be edited, in milliseconds. */
  readonly previewIntervalMs?: number
  /**
   * Who can write here has been let in by whoever runs the other side (a signature, a broker's accounts), so that without
   * an allow-list everyone may. Where strangers can write it is false, and they are paired first.
   */
  readonly trusted: boolean
}

/**
 * The adapter of one chat platform (spec §4). It translates; waiting, order, retries, permission and reconnecting are the
 * gateway's. Errors: a `GatewayError` that is `retryable` is tried again, after its `retryAfterMs` where it has one; one
 * that is not ends the attempt for good; anything else thrown counts as retryable and its message stays in the log. Use
 * `UNAVAILABLE` for a host that is down, `RATE_LIMITED` with `retryAfterMs` where the platform asks for patience,
 * `UNAUTHORIZED` for a refused token, `FORBIDDEN` for a missing permission, `NOT_FOUND` for a peer that is gone. With
 * `UNAUTHORIZED` it is the channel that fails, also from `send`, whose part then waits.
 */
export interface Connector {
  readonly type: string
  readonly capabilities: Capabilities
  /**
   * The environment variable that is to hold a secret of it, and is not set: then `listen` is not called, and the status of the
   * channel is `failed` with `NOT_LINKED`.
   */
  readonly unset?: string
  /**
   * Connects, and receives until `signal` aborts; then resolves. Rejects when it cannot connect or the connection is lost:
   * it does not reconnect by itself but is called again after a backoff, unless the error is not retryable. One call at a
   * time. Everything that it opened is closed when it ends.
   */
  listen(inlet: Inlet, signal: AbortSignal): Promise<void>
  /** Resolves once the platform has taken the part. Called while connected; one at a time for each peer. */
  send(part: OutgoingPart, signal: AbortSignal): Promise<Sent>
  /** Shows that an answer is being written. A failure is not worth telling. */
  typing?(target: Target, signal: AbortSignal): Promise<void>
  /**
   * Shows the answer so far as a message that is edited as it grows, `text` within `maxLength`. One at a time for each run;
   * the run's first part with the same `runId` then takes its place, and a run that ends without one calls `discard`.
   */
  preview?(target: Target, runId: string, text: string, signal: AbortSignal): Promise<void>
  discard?(target: Target, runId: string, signal: AbortSignal): Promise<void>
  /** Where the platform calls us: served at `POST <basePath>/channels/<name>` while `listen` goes on. */
  endpoint?(request: EndpointRequest, inlet: Inlet): Promise<EndpointAnswer>
  /** Closing twice is fine. */
  close?(): Promise<void>
}

/** An HTTP request to a connector. */
export interface EndpointRequest {
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** As it came, for signatures. */
  readonly body: Buffer
  readonly remoteAddress: string
  readonly signal: AbortSignal
  /** To be handed on with what is received; null: no trace. */
  readonly trace?: TraceContext | null
}

export interface EndpointAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface ConnectorFactoryContext {
  /** Its key under `connectors:`. */
  readonly name: string
  /** The first segment of its session keys. */
  readonly channel: string
  readonly log: Log
  /** Relative paths in the options are relative to this folder. */
  readonly baseDir: string
  readonly env: NodeJS.ProcessEnv
  /** The longest attachment that is kept, in bytes before base64. */
  readonly maxAttachmentBytes: number
}

/**
 * Makes a connector from its entry under `connectors:`, of which it gets the options of its type alone; opens nothing yet.
 * Throws at start: a `ConfigError` (config/problems) whose paths are relative to the options, or any other error.
 */
export type ConnectorFactory = (
  options: JsonObject,
  context: ConnectorFactoryContext,
) => Promise<Connector> | Connector
