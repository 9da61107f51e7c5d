import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { FailedAttempts } from '../src/auth/attempts.js'
import { ensureAutoToken, isAuthRequired } from '../src/auth/auto-token.js'
import { isWebSocketUpgrade, readCredentials } from '../src/auth/credentials.js'
import { type OriginPolicy, originPolicyOf } from '../src/auth/origin.js'
import { ANONYMOUS, type Principal } from '../src/auth/principal.js'
import { TokenStore } from '../src/auth/tokens.js'
import type { LiveConfig } from '../src/config/live.js'
import { isLoopbackHost } from '../src/config/loopback.js'
import type { Config } from '../src/config/schema.js'
import type { Scope } from '../src/protocol/contract.js'
import { GatewayError, toErrorShape } from '../src/protocol/errors.js'

export interface Auth {
  /** Off: everyone is the anonymous principal. */
  readonly enabled: boolean
  readonly anonymous: Principal
  readonly originPolicy: OriginPolicy
  readonly attempts: FailedAttempts
  /** Who holds this secret; null: nobody. */
  authenticate(secret: string): Principal | null
  /** Whether the credentials that made it are not valid any more. */
  isRevoked(principal: Principal): boolean
  /** Told of those whose credentials are not valid any more, all at once. */
  onRevoked(listener: (principals: ReadonlySet<Principal>) => void): void
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
export type AuthRefusal = 'origin' | 'unauthorized' | 'forbidden' | 'rate_limited'

export interface AuthOptions {
  readonly config: Pick<Config, 'host' | 'auth' | 'rateLimit'>
  /** The state folder, where a token that the gateway makes for itself is kept. */
  readonly home: string
  readonly live?: LiveConfig
  readonly onRefused?: (reason: AuthRefusal) => void
}

/** Knows the tokens and which web pages may ask; keeps foreign pages from plain HTTP (spec §5). */
export default fp(
  async (app, { config, live, home, onRefused }: AuthOptions) => {
    let enabled = isAuthRequired(config)
    const autoToken = enabled && config.auth.tokens.length === 0 ? await ensureAutoToken(home) : undefined
    if (autoToken !== undefined) {
      const message = autoToken.created ? 'a token was made' : 'the token made at an earlier start is used'
      app.log.info({ tokenFile: autoToken.path }, message)
    }
    const tokens = new TokenStore(config.auth.tokens, autoToken?.token)
    if (!isLoopbackHost(config.host) && tokens.short.length > 0) {
      app.log.warn({ tokens: tokens.short }, 'tokens of fewer than 16 characters may be guessed')
    }
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

    const revoked = new WeakSet<Principal>()
    const listeners: ((principals: ReadonlySet<Principal>) => void)[] = []
    live?.onChange(['auth.tokens'], async ({ after }) => {
      const required = isAuthRequired(after)
      const made = required && after.auth.tokens.length === 0 ? await ensureAutoToken(home) : undefined
      return {
        apply: () => {
          const lost = new Set(tokens.replace(after.auth.tokens, made?.token))
          // Who came in while nobody was asked for a token has none.
          if (required && !enabled) lost.add(ANONYMOUS)
          enabled = required
          for (const principal of lost) if (principal !== ANONYMOUS) revoked.add(principal)
          for (const tell of listeners) tell(lost)
        },
      }
    })

    const identify = (request: FastifyRequest): Principal => {
      if (!enabled) return ANONYMOUS
      const retryAfterMs = attempts.isBlocked(request.ip)
      if (retryAfterMs > 0) {
        throw new GatewayError('RATE_LIMITED', 'Too many failed attempts from this address.', {
          retryAfterMs,
        })
      }
      const secret = readCredentials(request.headers)
      if (secret === null) {
        throw new GatewayError('UNAUTHORIZED', 'Authentication is required: send Authorization: Bearer.')
      }
      const principal = tokens.authenticate(secret)
      if (principal !== null) return principal
      attempts.failed(request.ip)
      throw new GatewayError('UNAUTHORIZED', 'Authentication failed.')
    }

    app.decorateRequest('principal', null)
    app.decorate('auth', {
      get enabled() {
        return enabled
      },
      anonymous: ANONYMOUS,
      get originPolicy() {
        return originPolicy
      },
      attempts,
      authenticate: (secret) => tokens.authenticate(secret),
      isRevoked: (principal) => (principal === ANONYMOUS ? enabled : revoked.has(principal)),
      onRevoked: (listener) => void listeners.push(listener),
      require: (scope) => async (request, reply) => {
        try {
          request.principal = identify(request)
          if (request.principal.scopes.has(scope)) return
          throw new GatewayError('FORBIDDEN', `This needs the scope ${scope}.`)
        } catch (error) {
          if (!(error instanceof GatewayError)) throw error
          onRefused?.(error.code.toLowerCase() as AuthRefusal)
          await refuse(reply, error, scope)
        }
      },
    } satisfies Auth)

    app.addHook('onRequest', async (request, reply) => {
      // The WebSocket route refuses with close code 4403, which a browser shows, unlike an HTTP status.
      if (isWebSocketUpgrade(request.headers)) return
      const refusal = originPolicy.check(request.raw)
      if (refusal === null) return
      onRefused?.('origin')
      await refuse(reply, new GatewayError('FORBIDDEN', refusal.reason))
    })
  },
  { name: 'auth', fastify: '5.x' },
)

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
