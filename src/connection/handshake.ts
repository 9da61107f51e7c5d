import type { Principal } from '../auth/principal.js'
import type { Config } from '../config/schema.js'
import { EVERYTHING, type Selection } from '../events/broadcaster.js'
import { replay } from '../events/replay.js'
import type { Journal } from '../journal/journal.js'
import type { CloseReason } from '../protocol/close-codes.js'
import {
  type ChannelStatus,
  type ClientInfo,
  EVENTS,
  GatewayError,
  HelloFrame,
  PROTOCOL_VERSION,
} from '../protocol/index.js'
import { compileValidator } from '../protocol/validation.js'
import type { Connection } from './connection.js'
import { camelCased } from './inbound.js'

/** Decides who a hello acts as. */
export interface Authenticator {
  /** Off: everyone is the anonymous principal. */
  readonly enabled: boolean
  readonly anonymous: Principal
  authenticate(secret: string): Principal | null
  /** Whether its credentials have become invalid since. */
  isRevoked(principal: Principal): boolean
  readonly attempts: {
    /** Milliseconds until this address may try again; 0: now. */
    isBlocked(address: string): number
    failed(address: string): void
  }
}

export interface HandshakeOptions {
  readonly config: Pick<Config, 'connection'>
  readonly version: string
  readonly auth: Authenticator
  readonly journal: Journal
  readonly methodNames: () => string[]
  /** JSON text of the sessions that the principal may see, most recent first. */
  readonly snapshot: (principal: Principal) => Promise<string>
  readonly channels: () => readonly ChannelStatus[]
  /** JSON text of the scheduled jobs that the principal may see. */
  readonly cronJobs: (principal: Principal) => string
}

class Refusal extends GatewayError {
  constructor(
    readonly reason: CloseReason,
    ...rest: ConstructorParameters<typeof GatewayError>
  ) {
    super(...rest)
  }
}

/** Says in the hello's `caps` that a connection takes runs. */
const AGENT_CAP = 'agent'

const validateHello = compileValidator(HelloFrame, 'hello')

/** Lets connections in (spec §1): version, credentials, subscriptions, `hello-ok`, replay. */
export class Handshake {
  readonly #options: HandshakeOptions
  readonly #policy: string
  #features: string | null = null

  constructor(options: HandshakeOptions) {
    this.#options = options
    const { maxPayloadBytes, maxBufferedBytes, heartbeatMs, maxInFlight } = options.config.connection
    this.#policy = JSON.stringify({ maxPayloadBytes, maxBufferedBytes, heartbeatMs, maxInFlight })
  }

  /** Answers a hello; refusals and failures end the connection with a reason. */
  readonly answer = (connection: Connection, frame: Record<string, unknown>): void => {
    this.#answer(connection, frame).catch((error: unknown) => {
      if (error instanceof Refusal) {
        connection.refuse(error.reason, error)
        return
      }
      connection.services.log.error({ err: error, connId: connection.id }, 'handshake failed')
      if (connection.state === 'open') {
        connection.close('INTERNAL')
        return
      }
      const shape =
        error instanceof GatewayError ? error : new GatewayError('INTERNAL_ERROR', 'The handshake failed.')
      connection.refuse('INTERNAL', shape)
    })
  }

  async #answer(connection: Connection, frame: Record<string, unknown>): Promise<void> {
    const hello = this.#read(frame)
    const principal = this.#authenticate(connection, hello)
    const { journal, snapshot } = this.#options
    const from = hello.resume ?? null
    const recovered = from !== null && from.epoch === journal.epoch && journal.holds(from.seq)
    // Taken before the snapshot: what happens while that is read is replayed.
    const seq = recovered ? from.seq : journal.head
    const sessions = principal.scopes.has('read') ? await snapshot(principal) : '[]'
    if (connection.state === 'closed') return
    if (this.#options.auth.isRevoked(principal)) {
      throw new Refusal('UNAUTHORIZED', 'UNAUTHORIZED', 'Authentication failed.')
    }

    connection.open(
      principal,
      compact(hello.client),
      this.#helloOk(connection, principal, sessions, seq, recovered),
    )
    connection.isWorker = hello.caps?.includes(AGENT_CAP) ?? false
    // What others say and are told is not for who takes runs, unless it asks.
    const patterns = hello.subscribe ?? (connection.isWorker ? ['gateway.*'] : null)
    const selections: Selection[] = patterns === null ? [EVERYTHING] : [{ patterns, sessionKeys: null }]
    connection.subscribedByDefault = patterns === null
    connection.services.broadcaster.hold(connection, selections)
    connection.release()
    await replay(connection, seq, journal)
  }

  #read(frame: Record<string, unknown>): HelloFrame {
    const hello = camelCased(frame) as unknown as HelloFrame
    try {
      validateHello(hello)
    } catch (error) {
      const { message, details } = error as GatewayError
      throw new Refusal('PROTOCOL_ABUSE', 'INVALID_REQUEST', message, { details })
    }
    if (hello.minProtocol > PROTOCOL_VERSION || hello.maxProtocol < PROTOCOL_VERSION) {
      throw new Refusal(
        'NO_COMMON_PROTOCOL',
        'INVALID_REQUEST',
        `hello.minProtocol..maxProtocol: expected a range that includes ${PROTOCOL_VERSION}, got ${hello.minProtocol}..${hello.maxProtocol}`,
        { details: { minProtocol: PROTOCOL_VERSION, maxProtocol: PROTOCOL_VERSION } },
      )
    }
    return hello
  }

  #authenticate(connection: Connection, hello: HelloFrame): Principal {
    const { auth } = this.#options
    if (!auth.enabled) return auth.anonymous
    const { address, secret: fromUpgrade, problem } = connection.upgrade!
    const retryAfterMs = auth.attempts.isBlocked(address)
    if (retryAfterMs > 0) {
      throw new Refusal('RATE_LIMITED', 'RATE_LIMITED', 'Too many failed handshakes from this address.', {
        retryAfterMs,
      })
    }
    if (problem !== null) throw new Refusal('UNAUTHORIZED', 'UNAUTHORIZED', problem.message)
    const secret = hello.auth?.token || hello.auth?.password || fromUpgrade
    const principal = secret ? auth.authenticate(secret) : null
    if (principal !== null) return principal
    // Guessing is limited; a client that merely does not know that it needs a token is not blocked.
    if (secret) auth.attempts.failed(address)
    throw new Refusal(
      'UNAUTHORIZED',
      'UNAUTHORIZED',
      secret ? 'Authentication failed.' : 'Authentication is required: send auth.token in hello.',
    )
  }

  #helloOk(
    connection: Connection,
    principal: Principal,
    sessions: string,
    seq: number,
    recovered: boolean,
  ): string {
    const { version, journal, methodNames, channels, cronJobs } = this.#options
    const mayRead = principal.scopes.has('read')
    const channelList = JSON.stringify(mayRead ? channels() : [])
    const jobs = mayRead ? cronJobs(principal) : '[]'
    this.#features ??= JSON.stringify({
      methods: methodNames(),
      events: Object.values(EVENTS).map((event) => event.name),
    })
    const server = `{"version":${JSON.stringify(version)},"host":null,"connId":${JSON.stringify(connection.id)}}`
    const auth = JSON.stringify({ role: principal.role, scopes: [...principal.scopes] })
    const resume = `{"epoch":${JSON.stringify(journal.epoch)},"seq":${seq},"recovered":${recovered}}`
    return (
      `{"type":"hello-ok","protocol":${PROTOCOL_VERSION},"server":${server},"features":${this.#features}` +
      `,"snapshot":{"sessions":${sessions},"cronJobs":${jobs},"channels":${channelList}},"policy":${this.#policy},"auth":${auth},"resume":${resume}}`
    )
  }
}

/** Only what is known of a client, in a small object: it is kept as long as the connection lives. */
function compact({ id, displayName = null, version, platform, mode }: ClientInfo): ClientInfo {
  return { id, displayName, version, platform, mode }
}
