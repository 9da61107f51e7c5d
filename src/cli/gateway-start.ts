import { setFlagsFromString } from 'node:v8'
import closeWithGrace from 'close-with-grace'
import { loadConfig } from '../config/load.js'
import { VERSION } from '../version.js'
import { localAddress } from './address.js'
import { CliError } from './cli-error.js'
import { EXIT } from './exit-codes.js'
import { createLogger } from './logger.js'
import { findRunning, type PidRecord, writePidFile } from './pid-file.js'
import { findPortOwner } from './port-owner.js'

export interface StartOptions {
  readonly host?: string
  readonly port?: string
  readonly logLevel?: string
  readonly config?: string
}

/** Beyond `shutdown.drainTimeoutMs`: for aborting runs, closing sockets and flushing the journal. */
const STOP_MARGIN_MS = 10_000

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Ctrl-C under `npm start` arrives twice: from the terminal, and passed on by npm. That is one signal. */
const SAME_SIGNAL_MS = 300

/**
 * What is loaded at a start would grow V8's young generation for good: 14 MB that an idle gateway never needs again. Under
 * load it may grow as usual.
 */
function growYoungGeneration(allowed: boolean): void {
  setFlagsFromString(`--semi-space-growth-factor=${allowed ? 2 : 1}`)
}

/** `lurkbot gateway start`: runs the gateway in the foreground until a signal stops it. Returns once it listens. */
export async function start(options: StartOptions): Promise<void> {
  growYoungGeneration(false)
  const isTTY = process.stdout.isTTY === true
  const { host, port, logLevel } = options
  const flags = { host, port, logLevel }
  const loaded = await loadConfig({ env: process.env, flags, configPath: options.config, isTTY })
  const { config, home, baseDir, configFile } = loaded
  const running = findRunning(home)
  if (running !== null) throw alreadyRunning(running, home)

  const { buildApp } = await import('../app.js')
  const app = await buildApp({ config, home, baseDir, logger: await createLogger(config.log) })
  try {
    await app.listen({ host: config.host, port: config.port })
  } catch (error) {
    await app.close()
    throw await listenError(error as NodeJS.ErrnoException, config)
  }
  const bound = app.server.address()
  const address = localAddress({
    host: config.host,
    port: typeof bound === 'object' && bound !== null ? bound.port : config.port,
    tls: config.tls.enabled,
    basePath: config.basePath,
  })
  const fields = { startedAt: Date.now(), version: VERSION, ...address, configFile }
  // First, since whoever reads the pid file may send a signal.
  stopWithGrace()
  const { remove } = writePidFile(home, fields)
  process.once('exit', remove)
  announce()
  growYoungGeneration(true)

  function stopWithGrace(): void {
    const { drainTimeoutMs } = config.shutdown
    const delay = drainTimeoutMs + config.connection.closeGraceMs + STOP_MARGIN_MS
    const logger = { error: (message: unknown) => app.log.error(message) }
    const { close } = closeWithGrace({ delay, logger, skip: [...STOP_SIGNALS] }, async (cause) => {
      if ('err' in cause) {
        // The state in memory can no longer be trusted, so nothing is drained: the journal has all that was accepted.
        app.log.fatal({ err: cause.err ?? String(cause.err) }, 'uncaught error')
        // `undefined` may be thrown as well, which would pass for an orderly end.
        process.exit(EXIT.FAILED)
      }
      app.log.info({ drainTimeoutMs }, 'stopping')
      await app.close()
    })
    let firstAt = 0
    const onSignal = (signal: string) => {
      if (firstAt === 0) {
        firstAt = Date.now()
        close()
      } else if (Date.now() - firstAt > SAME_SIGNAL_MS) {
        app.log.warn({ signal }, 'second signal, exiting at once')
        process.exit(EXIT.FAILED)
      }
    }
    for (const signal of STOP_SIGNALS) process.on(signal, onSignal)
  }

  function announce(): void {
    if (config.log.format === 'json') {
      app.log.info({ url: address.url, home }, 'gateway started')
      return
    }
    console.log(`LurkBot gateway listens at ${address.url} (process ${process.pid}, state in ${home})`)
    console.log('Talk to it from another terminal:  lurkbot gateway chat')
  }
}

function alreadyRunning(running: PidRecord, home: string): CliError {
  return new CliError(
    EXIT.UNAVAILABLE,
    `A gateway is running already at ${running.url} (process ${running.pid}).`,
    [
      'lurkbot gateway stop     stops it',
      'lurkbot gateway status   says how it is',
      `One state folder (${home}) serves one gateway; LURKBOT_HOME names another.`,
    ],
  )
}

/** Why the port could not be opened, and what to do; any other error as it is. */
async function listenError(
  error: NodeJS.ErrnoException,
  { host, port }: { host: string; port: number },
): Promise<Error> {
  switch (error.code) {
    case 'EADDRINUSE': {
      const owner = await findPortOwner(port)
      const who =
        owner === null ? 'a process that is not ours to see' : `process ${owner.pid} (${owner.command})`
      return new CliError(EXIT.UNAVAILABLE, `Port ${port} at ${host} is in use by ${who}.`, [
        'lurkbot gateway stop                  stops it if it is a gateway of this state folder',
        'lurkbot gateway start --port NUMBER   takes another port; 0 any free one',
      ])
    }
    case 'EACCES':
      return new CliError(EXIT.NO_PERMISSION, `This user may not listen on port ${port} at ${host}.`, [
        'Ports below 1024 are often reserved: lurkbot gateway start --port NUMBER takes another one.',
      ])
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new CliError(EXIT.CONFIG, `host '${host}' is not an address of this machine (${error.code}).`, [
        '127.0.0.1 serves this machine only, 0.0.0.0 every network that it is in.',
      ])
    default:
      return error
  }
}
