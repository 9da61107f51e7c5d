import type { Config } from '../config/schema.js'
import { newDeliveryId } from '../journal/ids.js'
import type { Intake } from '../lanes/intake.js'
import type { Lanes } from '../lanes/lanes.js'
import type { Log } from '../log.js'
import { type ChannelStatus, GatewayError } from '../protocol/index.js'
import type { Sessions } from '../sessions/sessions.js'
import type { TraceContext } from '../tracing/trace-context.js'
import type { Tracing } from '../tracing/tracing.js'
import { sessionKeyOf } from './address.js'
import { Channel } from './channel.js'
import type { ChannelQuestions } from './channel-questions.js'
import { type Command, TEXTS } from './commands.js'
import type { Target } from './connector.js'
import type { Deliveries } from './deliveries.js'
import { ChannelInlet, type ReceiveOutcome } from './inlet.js'
import type { Pairing } from './pairing.js'
import type { ConnectorEntry } from './registry.js'

export interface HostOptions {
  readonly config: Config['channels']
  readonly intake: Intake
  readonly lanes: Lanes
  readonly sessions: Sessions
  readonly deliveries: Deliveries
  readonly pairing: Pairing
  readonly questions: ChannelQuestions
  readonly log: Log
  readonly tracing?: Tracing
  readonly onStatus: (status: ChannelStatus) => void
  readonly observe: (channel: string, outcome: ReceiveOutcome) => void
  /** A command was done. */
  readonly onCommand: (
    command: Exclude<Command, 'help' | 'answer'>,
    sessionKey: string,
    channel: string,
  ) => void
}

/** Puts a connector between the platform and the gateway: a channel that does not listen yet. */
export function createChannel(entry: ConnectorEntry, options: HostOptions): Channel {
  const { config, intake, sessions, deliveries, pairing, questions, log, onStatus, observe } = options
  const inlet: ChannelInlet = new ChannelInlet({
    entry,
    identity: () => channel.status().identity,
    accept: (incoming, principal) => intake.accept(incoming, principal),
    pairing,
    get codeTtlMs() {
      return config.pairing.codeTtlMs
    },
    hasRoom: () => deliveries.hasRoom(entry.channel),
    notify: (target, text, replyTo) => notify(deliveries, entry.channel, target, text, replyTo),
    command: async (command, sessionKey, signal) => {
      const told = await obey(command, sessionKey, signal, options)
      options.onCommand(command, sessionKey, entry.channel)
      return told
    },
    questions,
    limits: config,
    log,
    tracing: options.tracing,
    observe: (outcome) => observe(entry.channel, outcome),
  })
  const channel: Channel = new Channel({
    entry,
    config,
    log,
    receive: (message, signal) => inlet.receive(message, signal),
    knows: async (target) => (await sessions.find(sessionKeyOf(entry.channel, target))) !== null,
    pending: () => deliveries.pending(entry.channel),
    onStatus,
  })
  return channel
}

/** Tells a conversation something that no agent said. */
export async function notify(
  deliveries: Deliveries,
  channel: string,
  target: Target,
  text: string,
  replyTo: string | null,
  trace: TraceContext | null = null,
): Promise<void> {
  const sessionKey = sessionKeyOf(channel, target)
  const content = replyTo === null ? { text } : { text, replyTo }
  const { peer, thread } = target
  await deliveries.enqueue([
    { id: newDeliveryId(), channel, peer, thread, sessionKey, at: Date.now(), content, ...trace },
  ])
}

async function obey(
  command: Exclude<Command, 'help' | 'answer'>,
  sessionKey: string,
  signal: AbortSignal,
  { sessions, lanes }: HostOptions,
): Promise<string> {
  if (command === 'stop') {
    const aborted = await lanes.abortSession(sessionKey, 'requested', signal)
    return aborted.length > 0 ? TEXTS.stopped : TEXTS.idle
  }
  await sessions.reset(sessionKey).catch((error: unknown) => {
    // A conversation that has not begun is new already.
    if (!(error instanceof GatewayError && error.code === 'NOT_FOUND')) throw error
  })
  return TEXTS.reset
}
