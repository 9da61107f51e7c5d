import { randomBytes } from 'node:crypto'
import { isPublicKey, isSignedBy } from '../auth/device-key.js'
import type { Devices } from '../auth/devices.js'
import type { Principal } from '../auth/principal.js'
import { touchesChannel } from '../auth/rights.js'
import type { Usages } from '../auth/usage.js'
import type { Config } from '../config/schema.js'
import { EVERYTHING, type Selection } from '../events/broadcaster.js'
import { replay } from '../events/replay.js'
import type { Journal } from '../journal/journal.js'
import type { CloseReason } from '../protocol/close-codes.js'
import {
  type ChannelStatus,
  type ClientInfo,
  deviceProof,
  type ErrorCode,
  EVENTS,
  GatewayError,
  HelloFrame,
  HelloProofFrame,
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
  authenticate(secret: string): Principal | null | Promise<Principal | null>
  /** Whether someone who came in meanwhile may not stay. */
  hasEnded(principal: Principal): boolean
  readonly attempts: {
    /** Milliseconds until this address may try again; 0: now. */
    isBlocked(address: string): number
  }
  /** Credentials were refused. */
  failed(address: string, where: 'hello', connId: string): void
}

/** Who was let in, and what to tell it. */
interface Admitted {
  readonly principal: Principal
  readonly deviceToken: string | null
}

export interface HandshakeOptions {
  readonly config: Pick<Config, 'connection'>
  readonly version: string
  readonly auth: Authenticator
  /** Null: devices are not let in by their keys. */
  readonly devices: Devices | null
  readonly usages: Usages
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

const NONCE_BYTES = 32

/** Says in the hello's `caps` that a connection takes runs. */
const AGENT_CAP = 'agent'

const validateHello = compileValidator(HelloFrame, 'hello')
const validateProof = compileValidator(HelloProofFrame, 'hello-proof')

/** How a connection closes whose credentials are not taken. */
const CLOSE_OF: Partial<Record<ErrorCode, CloseReason>> = {
  UNAUTHORIZED: 'UNAUTHORIZED',
  NOT_PAIRED: 'UNAUTHORIZED',
  RATE_LIMITED: 'RATE_LIMITED',
  UNAVAILABLE: 'OVERLOADED',
  INVALID_REQUEST: 'PROTOCOL_ABUSE',
}

/** Lets connections in (spec §1): version, credentials, subscriptions, `hello-ok`, replay. */
export class Handshake {
  readonly #options: HandshakeOptions
  #policy = ''
  #features: string | null = null

  constructor(options: HandshakeOptions) {
    this.#options = options
    this.renewPolicy()
  }

  /** What `hello-ok` says of the configuration is that of now. */
  renewPolicy(): void {
    const { maxPayloadBytes, maxBufferedBytes, heartbeatMs, maxInFlight } = this.#options.config.connection
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
    const admitted = this.#admit(connection, hello)
    const { principal, deviceToken } = admitted instanceof Promise ? await admitted : admitted
    const { journal, snapshot, auth, usages } = this.#options
    const from = hello.resume ?? null
    const recovered = from !== null && from.epoch === journal.epoch && journal.holds(from.seq)
    // Taken before the snapshot: what happens while that is read is replayed.
    const seq = recovered ? from.seq : journal.head
    const sessions = principal.scopes.has('read') ? await snapshot(principal) : '[]'
    if (connection.state === 'closed') return
    if (auth.hasEnded(principal)) throw new Refusal('UNAUTHORIZED', 'UNAUTHORIZED', 'Authentication failed.')
    connection.usage = asRefusal(() => usages.enter(principal))

    connection.open(
      principal,
      compact(hello.client),
      this.#helloOk(connection, { principal, deviceToken }, sessions, seq, recovered),
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

  /** Known tokens are looked up at once; a promise only where a key has to be fetched or a device has to answer. */
  #admit(connection: Connection, hello: HelloFrame): Admitted | Promise<Admitted> {
    const { auth } = this.#options
    if (!auth.enabled) return { principal: auth.anonymous, deviceToken: null }
    const { secret: fromUpgrade, problem } = connection.upgrade!
    const retryAfterMs = auth.attempts.isBlocked(connection.address)
    if (retryAfterMs > 0) {
      throw new Refusal('RATE_LIMITED', 'RATE_LIMITED', 'Too many failed handshakes from this address.', {
        retryAfterMs,
      })
    }
    if (problem !== null) throw new Refusal('UNAUTHORIZED', 'UNAUTHORIZED', problem.message)
    const secret = hello.auth?.token || hello.auth?.password || fromUpgrade
    if (!secret) {
      const device = hello.auth?.device
      // A client that merely does not know that it needs a token is not blocked.
      if (!device) throw unauthorized('Authentication is required: send auth.token in hello.')
      return this.#challenge(connection, hello.client, device)
    }
    const found = auth.authenticate(secret)
    if (found instanceof Promise) {
      // Whoever that is does not fill the memory meanwhile.
      connection.socket.pause()
      return found.then((later) => this.#require(connection, later), refuse)
    }
    return this.#require(connection, found)
  }

  /** Guessing is limited. */
  #require(connection: Connection, principal: Principal | null): Admitted {
    if (principal !== null) return { principal, deviceToken: null }
    this.#options.auth.failed(connection.address, 'hello', connection.id)
    throw unauthorized('Authentication failed.')
  }

  /** Lets a device prove that it has its key (spec §5). The nonce is known to this connection alone, and for one try. */
  async #challenge(
    connection: Connection,
    client: ClientInfo,
    { publicKey, token }: { publicKey: string; token?: boolean },
  ): Promise<Admitted> {
    const { auth, devices, journal } = this.#options
    if (devices === null) throw unauthorized('Devices are not paired here: send auth.token in hello.')
    if (!isPublicKey(publicKey)) {
      const message = 'hello.auth.device.publicKey: expected an Ed25519 key, 32 bytes as base64url'
      throw new Refusal('PROTOCOL_ABUSE', 'INVALID_REQUEST', message)
    }
    const challenge = { nonce: randomBytes(NONCE_BYTES).toString('base64url'), epoch: journal.epoch }
    const proof = await connection.challenge(
      JSON.stringify({ type: 'hello-challenge', ...challenge, at: Date.now() }),
    )
    asRefusal(() => validateProof(proof))
    const { signature } = proof as unknown as HelloProofFrame
    if (!isSignedBy(publicKey, deviceProof(challenge, publicKey, client.id), signature)) {
      auth.failed(connection.address, 'hello', connection.id)
      throw unauthorized('The signature is not that of the key.')
    }
    const { address } = connection
    return devices.admit({ publicKey, client, address, wantsToken: token ?? false }).catch(refuse)
  }

  #helloOk(
    connection: Connection,
    { principal, deviceToken }: Admitted,
    sessions: string,
    seq: number,
    recovered: boolean,
  ): string {
    const { version, journal, methodNames, channels, cronJobs } = this.#options
    const mayRead = principal.scopes.has('read')
    const seen = mayRead ? channels().filter(({ channel }) => touchesChannel(principal, channel)) : []
    const channelList = seen.length === 0 ? '[]' : JSON.stringify(seen)
    const jobs = mayRead ? cronJobs(principal) : '[]'
    this.#features ??= JSON.stringify({
      methods: methodNames(),
      events: Object.values(EVENTS).map((event) => event.name),
    })
    const server = `{"version":"${version}","host":null,"connId":"${connection.id}"}`
    const { role, scopes } = principal
    const auth = JSON.stringify({ role, scopes: [...scopes], deviceToken: deviceToken ?? undefined })
    const resume = `{"epoch":"${journal.epoch}","seq":${seq},"recovered":${recovered}}`
    return (
      `{"type":"hello-ok","protocol":${PROTOCOL_VERSION},"server":${server},"features":${this.#features}` +
      `,"snapshot":{"sessions":${sessions},"cronJobs":${jobs},"channels":${channelList}},"policy":${this.#policy},"auth":${auth},"resume":${resume}}`
    )
  }
}

function unauthorized(message: string): Refusal {
  return new Refusal('UNAUTHORIZED', 'UNAUTHORIZED', message)
}

/** The connection closes with the code that says whether to come back. */
function refuse(error: unknown): never {
  const reason = error instanceof GatewayError ? CLOSE_OF[error.code] : undefined
  if (reason === undefined) throw error
  const { code, message, details, retryable, retryAfterMs } = error as GatewayError
  throw new Refusal(reason, code, message, { details, retryable, retryAfterMs })
}

function asRefusal<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    return refuse(error)
  }
}

/** Only what is known of a client, in a small object: it is kept as long as the connection lives. */
function compact({ id, displayName = null, version, platform, mode }: ClientInfo): ClientInfo {
  return { id, displayName, version, platform, mode }
}
