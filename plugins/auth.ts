import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { FailedAttempts } from '../src/auth/attempts.js'
import { ensureAutoToken, isAuthRequired, isReachable } from '../src/auth/auto-token.js'
import { isWebSocketUpgrade, readCredentials } from '../src/auth/credentials.js'
import { Identities } from '../src/auth/identities.js'
import { type OriginPolicy, originPolicyOf } from '../src/auth/origin.js'
import { ANONYMOUS, type Principal } from '../src/auth/principal.js'
import type { TokenChange } from '../src/auth/tokens.js'
import type { LiveConfig } from '../src/config/live.js'
import type { Config } from '../src/config/schema.js'
import type { Scope } from '../src/protocol/contract.js'
import { GatewayError, toErrorShape } from '../src/protocol/errors.js'

/** Told of each failed authentication; `connId` is null for plain HTTP. */
export type OnAuthFailed = (address: string, where: 'hello' | 'http', connId: string | null) => void

export interface Auth {
  /** Off: everyone is the anonymous principal. */
  readonly enabled: boolean
  readonly anonymous: Principal
  readonly originPolicy: OriginPolicy
  readonly attempts: FailedAttempts
  readonly identities: Identities
  /** Who holds this secret; null: nobody. A promise only for secrets that have to be asked about elsewhere. */
  authenticate(secret: string): Principal | null | Promise<Principal | null>
  /** Whether someone who came in meanwhile may not stay. */
  hasEnded(principal: Principal): boolean
  /**
   * Replaces the configured tokens. Who had one that is gone (close 4401) or has other rights now (close 4410) is
   * disconnected at once.
   */
  setTokens(tokens: Config['auth']['tokens']): Promise<TokenChange>
  /** Credentials were refused: counts against the address. */
  failed: OnAuthFailed
  onFailed(listener: OnAuthFailed): void
  /** An `onRequest` hook that lets a request through when it may do `scope`, and sets `request.principal`. */
  require(scope: Scope): (request: FastifyRequest, reply: FastifyReply) => Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance {
    auth: Auth
  }
  interface FastifyRequest {
    /** Who asks; null on routes without `app.auth.require`. */
    principal: Principal | null
  }
}

/** Why a plain HTTP request was refused: a bounded set, for metrics. */
export type AuthRefusal = 'origin' | 'unauthorized' | 'forbidden' | 'rate_limited' | 'unavailable'

export interface AuthOptions {
  readonly config: Pick<Config, 'host' | 'trustProxy' | 'auth' | 'rateLimit'>
  /** The state folder, where a token that the gateway makes for itself is kept. */
  readonly home: string
  readonly live?: LiveConfig
  readonly onRefused?: (reason: AuthRefusal) => void
}

/** Knows the tokens and which web pages may ask; keeps foreign pages from plain HTTP (spec §5). */
export default fp(
  async (app, { config, live, home, onRefused }: AuthOptions) => {
    const identities = await Identities.create({
      tokens: config.auth.tokens,
      isRequired: (tokens) => isAuthRequired({ ...config, auth: { ...config.auth, tokens } }),
      autoToken: () => ownToken(home, app.log),
    })
    const warnOfShort = () => {
      const { short } = identities.configured
      if (!isReachable(config) || short.length === 0) return
      app.log.warn({ tokens: short }, 'tokens of fewer than 16 characters may be guessed')
    }
    warnOfShort()
    if (!identities.enabled && config.trustProxy !== false) {
      app.log.warn('authentication is off behind a proxy: whoever the proxy lets through may do everything')
    }
    const setTokens = async (tokens: Config['auth']['tokens']) => {
      const apply = await identities.prepareTokens(tokens)
      return () => {
        const change = apply()
        warnOfShort()
        return change
      }
    }
    live?.onChange(['auth.tokens'], async ({ after }) => {
      const apply = await setTokens(after.auth.tokens)
      return { apply: () => void apply() }
    })
    let originPolicy = originPolicyOf(config)
    live?.onChange(['auth.allowedOrigins', 'auth.allowedHosts'], ({ after }) => {
      const policy = originPolicyOf(after)
      return {
        apply: () => {
          originPolicy = policy
        },
      }
    })
    const { rateLimit } = config
    const attempts = new FailedAttempts({
      get max() {
        return rateLimit.handshakeFailures.max
      },
      get windowMs() {
        return rateLimit.handshakeFailures.windowMs
      },
      get maxAddresses() {
        return rateLimit.maxAddresses
      },
    })

    const listeners: OnAuthFailed[] = []
    const failed: OnAuthFailed = (address, where, connId) => {
      attempts.failed(address)
      for (const listener of listeners) listener(address, where, connId)
    }

    const identify = async (request: FastifyRequest): Promise<Principal> => {
      if (!identities.enabled) return ANONYMOUS
      const retryAfterMs = attempts.isBlocked(request.clientAddress)
      if (retryAfterMs > 0) {
        throw new GatewayError('RATE_LIMITED', 'Too many failed attempts from this address.', {
          retryAfterMs,
        })
      }
      const secret = readCredentials(request.headers)
      if (secret === null) {
        throw new GatewayError('UNAUTHORIZED', 'Authentication is required: send Authorization: Bearer.')
      }
      const principal = await identities.authenticate(secret)
      if (principal !== null) return principal
      failed(request.clientAddress, 'http', null)
      throw new GatewayError('UNAUTHORIZED', 'Authentication failed.')
    }

    app.decorateRequest('principal', null)
    app.decorate('auth', {
      get enabled() {
        return identities.enabled
      },
      anonymous: ANONYMOUS,
      get originPolicy() {
        return originPolicy
      },
      attempts,
      identities,
      authenticate: (secret) => identities.authenticate(secret),
      hasEnded: (principal) => identities.hasEnded(principal),
      setTokens: async (tokens) => (await setTokens(tokens))(),
      failed,
      onFailed: (listener) => void listeners.push(listener),
      require: (scope) => async (request, reply) => {
        try {
          request.principal = await identify(request)
          if (request.principal.scopes.has(scope)) return
          throw new GatewayError('FORBIDDEN', `This needs the scope ${scope}.`)
        } catch (error) {
          if (!(error instanceof GatewayError)) throw error
          onRefused?.(error.code.toLowerCase() as AuthRefusal)
          await refuse(reply, error, scope)
        }
      },
    } satisfies Auth)

    app.addHook('onRequest', (request, reply, done) => {
      // The WebSocket route refuses with close code 4403, which a browser shows, unlike an HTTP status.
      if (isWebSocketUpgrade(request.headers)) return done()
      const { headers, host, raw } = request
      const refusal = originPolicy.check({ headers, host, rawHeaders: raw.rawHeaders })
      if (refusal === null) return done()
      onRefused?.('origin')
      refuse(reply, new GatewayError('FORBIDDEN', refusal.reason))
    })
  },
  { name: 'auth', dependencies: ['reverse-proxy'], fastify: '5.x' },
)

/** The token that the gateway makes for itself. */
async function ownToken(home: string, log: FastifyBaseLogger): Promise<string> {
  const { token, path, created } = await ensureAutoToken(home)
  const message = created ? 'a token was made' : 'the token made at an earlier start is used'
  log.info({ tokenFile: path }, message)
  return token
}

/** RFC 6750 §3: what was wrong with the token, if there was one. */
function refuse(reply: FastifyReply, error: GatewayError, scope?: Scope): FastifyReply {
  if (error.code === 'UNAUTHORIZED') {
    const wasGiven = /^bearer /i.test(reply.request.headers.authorization ?? '')
    reply.header('www-authenticate', `Bearer realm="lurkbot"${wasGiven ? ', error="invalid_token"' : ''}`)
  } else if (error.code === 'FORBIDDEN' && scope !== undefined) {
    reply.header('www-authenticate', `Bearer realm="lurkbot", error="insufficient_scope", scope="${scope}"`)
  }
  if (error.retryAfterMs !== undefined) reply.header('retry-after', Math.ceil(error.retryAfterMs / 1000))
  return reply.code(error.statusCode).send({ error: toErrorShape(error) })
}
