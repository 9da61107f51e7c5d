import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync, type FSWatcher, mkdirSync, mkdtempSync, readFileSync, rmSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The built program; this file is compiled to dist/test/helpers. */
export const PROGRAM = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface GatewayProcess {
  readonly url: string
  readonly wsUrl: string
  readonly pid: number
  readonly home: string
  /** Resolves when the process has ended, however. */
  readonly exited: Promise<Exit>
  /** What it has written so far, standard output and standard error together. */
  output(): string
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<Exit>
  /** Sends a signal and does not wait. */
  signal(name: NodeJS.Signals): void
  /** SIGKILL, as a crash would; resolves when it has ended. Its state folder stays. */
  kill9(): Promise<Exit>
}

export interface StartOptions {
  /** Default: a new folder. It is the caller's to remove. */
  readonly home?: string
  readonly env?: NodeJS.ProcessEnv
  /** Further arguments of `gateway start`. */
  readonly args?: readonly string[]
  /** Given the process as soon as there is one, long before it listens. */
  readonly onSpawn?: (child: ChildProcess) => void
  /** The limit on its file descriptors. Default: that of this process. */
  readonly openFiles?: number
}

/** The environment of a child: without what the one who runs the tests has configured for their own gateway. */
export function gatewayEnv(home: string, env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^LURKBOT_|^(FORCE|NO)_COLOR$/.test(name))
  return { ...Object.fromEntries(inherited), LURKBOT_HOME: home, LURKBOT_GATEWAY__PORT: '0', ...env }
}

/** A state folder that goes when the test does: `t.teardown` takes `remove`. */
export function temporaryHome(): { home: string; remove: () => void } {
  const home = mkdtempSync(join(tmpdir(), 'lurkbot-test-'))
  return { home, remove: () => rmSync(home, { recursive: true, force: true }) }
}

/**
 * Runs the built gateway as a process of its own, on any free port unless `env` or `args` name one. Resolves once it listens;
 * rejects with its output when it ends before that.
 */
export async function startGateway(options: StartOptions = {}): Promise<GatewayProcess> {
  const home = options.home ?? temporaryHome().home
  mkdirSync(home, { recursive: true })
  const program = [process.execPath, PROGRAM, 'gateway', 'start', ...(options.args ?? [])]
  const { openFiles } = options
  const [command, ...args] =
    openFiles === undefined ? program : ['sh', '-c', `ulimit -n ${openFiles} && exec "$0" "$@"`, ...program]
  const child = spawn(command!, args, {
    env: gatewayEnv(home, options.env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  options.onSpawn?.(child)
  const output = collect(child)
  const exited = new Promise<Exit>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  )
  const record = await ready(home, child, exited, output)
  const end = (signal: NodeJS.Signals) => {
    child.kill(signal)
    return exited
  }
  return {
    url: record.url,
    wsUrl: record.wsUrl,
    pid: child.pid!,
    home,
    exited,
    output,
    signal: (name) => void child.kill(name),
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
  }
}

/** Starts a `lurkbot` command. */
export function spawnCli(
  args: readonly string[],
  options: { home: string; env?: NodeJS.ProcessEnv },
): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: gatewayEnv(options.home, options.env) })
  child.stdout.setEncoding('utf8')
  child.stderr.setEncoding('utf8')
  // A command that does not read its input may have ended before it is written.
  child.stdin.on('error', () => {})
  return child
}

export interface RunResult extends Exit {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a `lurkbot` command to its end. `input` is its standard input. */
export async function runCli(
  args: readonly string[],
  options: { home: string; env?: NodeJS.ProcessEnv; input?: string },
): Promise<RunResult> {
  const child = spawnCli(args, options)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (text) => {
    stdout += text
  })
  child.stderr.on('data', (text) => {
    stderr += text
  })
  child.stdin.end(options.input ?? '')
  return new Promise((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr })),
  )
}

interface Ready {
  readonly pid: number
  readonly url: string
  readonly wsUrl: string
}

/** The gateway writes its pid file when it listens: whole, by renaming. */
async function ready(
  home: string,
  child: ChildProcess,
  exited: Promise<Exit>,
  output: () => string,
): Promise<Ready> {
  let watcher: FSWatcher | undefined
  const written = new Promise<Ready>((resolve) => {
    const path = join(home, 'gateway.pid')
    const check = () => {
      if (!existsSync(path)) return
      const record = JSON.parse(readFileSync(path, 'utf8')) as Ready
      // That of an earlier one that was killed may still be there.
      if (record.pid === child.pid) resolve(record)
    }
    watcher = watch(home, check)
    check()
  })
  const failed = exited.then(({ code, signal }) => {
    throw new Error(`the gateway ended with ${signal ?? code} before it was ready:\n${output()}`)
  })
  try {
    return await Promise.race([written, failed])
  } finally {
    watcher?.close()
    failed.catch(() => {})
  }
}

function collect(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
  }
  return () => text
}
