import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import agentLimits from '../plugins/agent-limits.js'
import agents from '../plugins/agents.js'
import auth from '../plugins/auth.js'
import closing from '../plugins/closing.js'
import configPlugin from '../plugins/config.js'
import connectors from '../plugins/connectors.js'
import events from '../plugins/events.js'
import health from '../plugins/health.js'
import hookSources from '../plugins/hook-sources.js'
import hooks from '../plugins/hooks.js'
import identities from '../plugins/identities.js'
import journal from '../plugins/journal.js'
import lanes from '../plugins/lanes.js'
import lifecycle from '../plugins/lifecycle.js'
import methods from '../plugins/methods.js'
import metrics from '../plugins/metrics.js'
import outbox from '../plugins/outbox.js'
import overload from '../plugins/overload.js'
import rateLimit from '../plugins/rate-limit.js'
import reverseProxy from '../plugins/reverse-proxy.js'
import scheduler from '../plugins/scheduler.js'
import skills from '../plugins/skills.js'
import thirdParty, { checkPlugins } from '../plugins/third-party.js'
import tls from '../plugins/tls.js'
import tracing from '../plugins/tracing.js'
import websocket from '../plugins/websocket.js'
import workers from '../plugins/workers.js'
import channelRoutes from '../routes/channels.js'
import { answerClientError, answerError, answerNotFound } from '../routes/errors.js'
import exportRoutes from '../routes/exports.js'
import healthRoutes from '../routes/health.js'
import infoRoutes from '../routes/info.js'
import agentMethods from '../routes/methods/agents.js'
import channelMethods from '../routes/methods/channels.js'
import configMethods from '../routes/methods/config.js'
import connectionMethods from '../routes/methods/connections.js'
import cronMethods from '../routes/methods/cron.js'
import deliveryMethods from '../routes/methods/deliveries.js'
import eventMethods from '../routes/methods/events.js'
import gatewayMethods from '../routes/methods/gateway.js'
import hookMethods from '../routes/methods/hooks.js'
import identityMethods from '../routes/methods/identity.js'
import laneMethods from '../routes/methods/lanes.js'
import logMethods from '../routes/methods/logs.js'
import pairingMethods from '../routes/methods/pairing.js'
import sessionMethods from '../routes/methods/sessions.js'
import skillMethods from '../routes/methods/skills.js'
import workerMethods from '../routes/methods/workers.js'
import metricsRoutes from '../routes/metrics.js'
import websocketRoutes from '../routes/ws.js'
import { AgentRegistry, isBuiltIn } from './agents/registry.js'
import { originPolicyOf } from './auth/origin.js'
import { loadTlsMaterial, secureContextOptions, type TlsMaterial } from './auth/tls-material.js'
import { hashOf } from './config/file.js'
import { LiveConfig } from './config/live.js'
import type { ConfigLoader } from './config/load.js'
import { trustOf } from './config/proxies.js'
import type { Config } from './config/schema.js'
import { ConnectorRegistry, isBuiltIn as isBuiltInConnector } from './connectors/registry.js'
import { LogTap } from './logs/log-tap.js'
import { VERSION } from './version.js'

export interface AppOptions {
  readonly config: Config
  /** The state folder: journal, token, logs. */
  readonly home: string
  /** What relative paths in the configuration are relative to. */
  readonly baseDir: string
  /** Who set each value of the configuration, for messages. */
  readonly sources?: ReadonlyMap<string, string>
  /** Reads the configuration anew; default: it cannot change while the app runs. */
  readonly load?: ConfigLoader
  /** The file that it was read from, if there was one, and what tells its text from any other. */
  readonly configFile?: string | null
  readonly fileHash?: string
  /** A pino logger; default: silent. */
  readonly logger?: FastifyBaseLogger
  /** What the logger writes, for `logs.tail`: its `write` is the logger's hook `streamWrite`. Default: there is nothing of it. */
  readonly logs?: LogTap
  /** Validate what methods return as well; for tests. */
  readonly checkResults?: boolean
}

/** How long a plugin may take to load, and the steps of a stop beyond the drain. */
const PLUGIN_TIMEOUT_MS = 10_000
/** A peer may send HTTP requests ahead and read none of the answers, which are then all kept. */
const MAX_REQUESTS_PER_SOCKET = 100
/** The longest that a timer can wait. */
const MAX_TIMEOUT_MS = 2_147_483_647

/**
 * The gateway, composed: the only place that knows every plugin. Each states what it depends on; the order here is the
 * order of start and of `preClose`, its reverse that of `onClose`.
 */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { config } = options
  const { delayMs, drainTimeoutMs } = config.shutdown
  const drainMs = delayMs + drainTimeoutMs + 2 * config.lanes.abortGraceMs
  const material = await loadTls(options)
  const app = Fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }),
    // For the host and the scheme that clients see; who they are is `request.clientAddress`.
    trustProxy: trustOf(config.trustProxy),
    bodyLimit: config.connection.maxPayloadBytes,
    frameworkErrors: answerError,
    clientErrorHandler: answerClientError,
    requestTimeout: config.connection.requestTimeoutMs,
    maxRequestsPerSocket: MAX_REQUESTS_PER_SOCKET,
    connectionTimeout: config.connection.idleTimeoutMs,
    keepAliveTimeout: config.connection.idleTimeoutMs,
    // It bounds `preClose` as well, which waits for load balancers to notice and for the lanes to drain.
    pluginTimeout: Math.min(drainMs + PLUGIN_TIMEOUT_MS, MAX_TIMEOUT_MS),
    // Probes are answered while the lanes drain.
    return503OnClosing: false,
    forceCloseConnections: true,
    ...(material === null
      ? { http: serverLimits(config) }
      : { https: { ...secureContextOptions(material), ...serverLimits(config) } }),
  }) as unknown as FastifyInstance
  app.setErrorHandler(answerError)
  app.setNotFoundHandler(answerNotFound)
  try {
    await compose(app, options, material)
  } catch (error) {
    await app.close()
    throw error
  }
  return app
}

/** How long a peer may take over its handshake and its requests: half of one and then silence holds nothing for ever. */
function serverLimits({ connection }: Config) {
  const { handshakeTimeoutMs, requestTimeoutMs } = connection
  const headersTimeout = Math.min(handshakeTimeoutMs, requestTimeoutMs)
  return {
    handshakeTimeout: handshakeTimeoutMs,
    headersTimeout,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, headersTimeout),
  }
}

/**
 * What can be told of a configuration while another one is in use: that its origins are some, and that certificate, agents,
 * connectors and plugins can be loaded. Opens nothing. @throws ConfigError
 */
export async function checkConfig({
  config,
  baseDir,
  sources,
  logger,
}: Pick<AppOptions, 'config' | 'baseDir' | 'sources'> & {
  readonly logger: FastifyBaseLogger
}): Promise<void> {
  await loadTls({ config, baseDir })
  originPolicyOf(config)
  await checkPlugins({ config, baseDir })
  const builtIn = Object.entries(config.agents).filter(([, { type }]) => isBuiltIn(type))
  const agents = new AgentRegistry()
  await agents.build(Object.fromEntries(builtIn), { log: logger, baseDir, env: process.env, sources })
  await agents.close()
  await checkConnectors({ config, baseDir, sources, logger })
}

async function checkConnectors({
  config,
  baseDir,
  sources,
  logger,
}: Parameters<typeof checkConfig>[0]): Promise<void> {
  const builtIn = Object.entries(config.connectors).filter(([, { type }]) => isBuiltInConnector(type))
  const { maxAttachmentBytes } = config.channels
  const entries = await new ConnectorRegistry().build(Object.fromEntries(builtIn), {
    logOf: () => logger,
    baseDir,
    env: process.env,
    maxAttachmentBytes,
    sources,
  })
  for (const { name, connector } of entries) {
    const { unset: variable } = connector
    if (variable !== undefined) {
      logger.warn({ connector: name, variable }, 'a secret is not set; its channel will not connect')
    }
    await connector.close?.()
  }
}

/** Null: TLS is off. */
async function loadTls({
  config,
  baseDir,
}: Pick<AppOptions, 'config' | 'baseDir'>): Promise<TlsMaterial | null> {
  const { enabled, cert, key } = config.tls
  return enabled ? loadTlsMaterial({ cert: cert!, key: key!, baseDir }) : null
}

async function compose(
  app: FastifyInstance,
  options: AppOptions,
  material: TlsMaterial | null,
): Promise<void> {
  const { home, baseDir, sources, logs = new LogTap(), checkResults, logger } = options
  const live = new LiveConfig(options)
  // What the plugins read is what is in effect.
  const { config } = live
  await app.register(closing, { config })
  await app.register(tracing)
  await app.register(metrics)
  const { httpRefused } = app.metrics.instruments
  await app.register(reverseProxy, { config })
  await app.register(auth, { config, live, home, onRefused: (kind) => httpRefused.inc({ kind }) })
  await app.register(rateLimit, { config, live, onRefused: (kind) => httpRefused.inc({ kind }) })
  await app.register(overload, { config, live })
  await app.register(tls, { material })
  await app.register(journal, { config, home, baseDir })
  await app.register(hooks, { config })
  await app.register(events)
  await app.register(identities, { config })
  await app.register(lifecycle, { config })
  await app.register(skills, { config, home, baseDir })
  await app.register(agents, { config, live, baseDir, sources })
  await app.register(methods, { checkResults })
  await app.register(lanes, { config, live })
  await app.register(outbox, { config, live })
  await app.register(connectors, { config, live, baseDir, sources })
  await app.register(hookSources, { config, home, baseDir })
  await app.register(scheduler, { config })
  await app.register(websocket, { config, live, version: VERSION })
  await app.register(workers)
  await app.register(health, { version: VERSION })
  await app.register(agentLimits)
  await app.register(configPlugin, {
    live,
    home,
    logger,
    load: options.load ?? null,
    configFile: options.configFile ?? null,
    fileHash: options.fileHash ?? hashOf(''),
    check: (loaded) => checkConfig({ ...loaded, logger: app.log }),
  })

  await app.register(gatewayMethods, { version: VERSION })
  await app.register(eventMethods)
  await app.register(sessionMethods)
  await app.register(agentMethods, { config })
  await app.register(laneMethods)
  await app.register(workerMethods)
  await app.register(deliveryMethods)
  await app.register(channelMethods)
  await app.register(pairingMethods)
  await app.register(hookMethods)
  await app.register(skillMethods)
  await app.register(cronMethods)
  await app.register(configMethods)
  await app.register(identityMethods)
  await app.register(connectionMethods)
  await app.register(logMethods, { live, logs })
  await app.register(thirdParty, { config, baseDir })

  await app.register(
    async (routes) => {
      await routes.register(healthRoutes)
      await routes.register(metricsRoutes, { config })
      await routes.register(infoRoutes, { config, version: VERSION })
      await routes.register(exportRoutes)
      await routes.register(channelRoutes)
      await routes.register(websocketRoutes, { version: VERSION })
    },
    { prefix: config.basePath },
  )
}
