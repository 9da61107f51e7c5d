import rateLimit, { type RateLimitOptions } from '@fastify/rate-limit'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { addressKey } from '../src/auth/address.js'
import { isWebSocketUpgrade } from '../src/auth/credentials.js'
import { FixedWindows } from '../src/auth/fixed-windows.js'
import type { LiveConfig } from '../src/config/live.js'
import type { Config } from '../src/config/schema.js'
import { GatewayError, toErrorShape } from '../src/protocol/errors.js'

/** What is limited, each on its own: a bounded set, for metrics. */
export type LimitedKind = 'http' | 'upgrades'

export interface RateLimitPluginOptions {
  readonly config: Pick<Config, 'basePath' | 'rateLimit'>
  readonly live?: LiveConfig
  readonly onRefused?: (kind: LimitedKind) => void
}

/** Limits the HTTP requests and WebSocket upgrades of each address (spec §5); probes are never refused. */
export default fp(
  async (app, { config, live, onRefused }: RateLimitPluginOptions) => {
    await app.register(rateLimit, { global: false, store: FixedWindows })

    const createLimiter = (kind: LimitedKind) => {
      const { max, windowMs } = config.rateLimit[kind]
      if (max === 0) return null
      const options: RateLimitOptions = {
        max,
        timeWindow: windowMs,
        keyGenerator: (request) => addressKey(request.clientAddress),
        cache: config.rateLimit.maxAddresses,
      }
      return app.createRateLimit(options)
    }
    const limiters = { http: createLimiter('http'), upgrades: createLimiter('upgrades') }
    // Whoever was refused by the old limit begins anew.
    live?.onChanged(['rateLimit.http', 'rateLimit.maxAddresses'], () => {
      limiters.http = createLimiter('http')
    })
    live?.onChanged(['rateLimit.upgrades', 'rateLimit.maxAddresses'], () => {
      limiters.upgrades = createLimiter('upgrades')
    })
    const isProbe = createProbeMatcher(config.basePath)

    app.addHook('onRequest', async (request, reply) => {
      const kind = isWebSocketUpgrade(request.headers) ? 'upgrades' : 'http'
      const limiter = limiters[kind]
      if (limiter === null || (kind === 'http' && isProbe(request))) return
      const limit = await limiter(request)
      if (limit.isAllowed || !limit.isExceeded) return
      onRefused?.(kind)
      if (kind === 'upgrades') endAfterReply(request, reply)
      reply.header('retry-after', limit.ttlInSeconds)
      const error = new GatewayError('RATE_LIMITED', 'Too many requests from this address.', {
        retryAfterMs: limit.ttl,
      })
      await reply.code(error.statusCode).send({ error: toErrorShape(error) })
    })
  },
  { name: 'rate-limit', dependencies: ['reverse-proxy'], fastify: '5.x' },
)

/** By the route that was found, not by the URL: nothing else can be dressed up as a probe. */
function createProbeMatcher(basePath: string): (request: FastifyRequest) => boolean {
  const probes = new Set(['/live', '/ready', '/health'].map((path) => basePath + path))
  const below = `${basePath}/health/`
  return ({ routeOptions: { url } }) => url !== undefined && (probes.has(url) || url.startsWith(below))
}

/** Node has handed the socket of an upgrade over: no HTTP server ends it after the response. */
function endAfterReply(request: FastifyRequest, reply: FastifyReply): void {
  reply.header('connection', 'close')
  reply.raw.once('finish', () => request.raw.socket.destroySoon())
}
