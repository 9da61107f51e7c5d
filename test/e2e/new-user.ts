import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { createNodeClient, type GatewayClient } from '../../src/client/node.js'
import { docsFolder } from '../../src/docs/generate.js'
import { GatewayError, sessionsHistory, sessionsSend } from '../../src/protocol/index.js'
import { programs, type Result, run } from '../docs/reader.js'
import { shellBlocks } from '../docs/shell-blocks.js'
import { dashboardQueries, filledIn } from '../helpers/promql.js'
import { until } from '../helpers/until.js'

// Run by new-user.test.ts, on a machine of its own; what changes there of /etc and /var is in MACHINE.

const HOME = homedir()
const MACHINE = process.argv[2]!
const CLONE = join(HOME, 'lurkbot-gateway')
const STATE = join(HOME, '.lurkbot')
const CERTIFICATE = '/etc/ssl/lurkbot/fullchain.pem'
const PUBLIC = 'https://gateway.example'

const NEXT = join(HOME, 'next')
const NEXT_VERSION = '999.0.0'

clone(CLONE)
clone(NEXT, NEXT_VERSION)
const PATH = programs(HOME)
script('lurkbot', `exec "${process.execPath}" "${CLONE}/dist/src/cli/main.js" "$@"`)
script('git', 'echo "git $*"')
// As it does: what was there is gone before the new is there.
script(
  'npm',
  `echo "npm $*"; [ "$1" != ci ] || { rm -r node_modules dist && cp -r "${NEXT}/dist" "${NEXT}/node_modules" "${NEXT}/package.json" .; }`,
)
// What it does for nginx, where there is no systemd.
script('systemctl', 'if [ -s /run/nginx.pid ]; then nginx -s reload; else nginx; fi')
const DEPLOY = files(join(CLONE, 'deploy'))
const CLONED = readdirSync(CLONE)

/** The program and what ships with it, as a clone has it when it is built. */
function clone(folder: string, version?: string): void {
  const from = join(docsFolder(), '..')
  mkdirSync(folder)
  for (const part of ['dist/src', 'dist/plugins', 'dist/routes', 'deploy', 'skills'])
    cpSync(join(from, part), join(folder, part), { recursive: true })
  symlinkSync(realpathSync(join(from, 'node_modules')), join(folder, 'node_modules'))
  const manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'))
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ ...manifest, version: version ?? manifest.version }),
  )
}

/** What is in a folder, but for folders, by its path; null: no file. */
function files(folder: string): Record<string, string | null> {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => [
      relative(folder, join(entry.parentPath, entry.name)),
      entry.isFile() ? readFileSync(join(entry.parentPath, entry.name), 'utf8') : null,
    ])
  return Object.fromEntries(found)
}

function script(name: string, text: string): void {
  writeFileSync(join(HOME, 'bin', name), `#!/bin/sh\n${text}\n`)
  chmodSync(join(HOME, 'bin', name), 0o755)
}

const env = (more: NodeJS.ProcessEnv = {}) => ({ ...process.env, HOME, PATH, ...more })

/** The first block of a page that has `part`. */
function block(page: string, part: string): string {
  const found = shellBlocks(page).find(({ script }) => script.includes(part))
  if (found === undefined) throw new Error(`${page} has no block with ${part}`)
  return found.script
}

/** Types it, and it works. */
async function type(t: Test, text: string, more?: NodeJS.ProcessEnv): Promise<Result> {
  const result = await run(text, env(more), CLONE)
  t.equal(result.code, 0, text.trim(), result)
  return result
}

/** The processes of this machine that run the gateway. */
function gateways(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
    .filter((pid) => readOr('', `/proc/${pid}/cmdline`).includes('gateway\0start'))
}

function readOr(missing: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return missing
  }
}

t.test('a conversation, in the background', async (t) => {
  await type(t, block('README.md', 'lurkbot gateway logs'))
  const { output } = await type(t, 'echo Hello | lurkbot gateway chat')
  t.equal(output, 'Hello\n')
})

t.test('behind nginx, with TLS and a token', async (t) => {
  const [, yaml] = /```yaml\n([^`]*trustProxy[^`]*)```/.exec(
    readFileSync(join(docsFolder(), 'deploy.md'), 'utf8'),
  )!
  writeFileSync(join(STATE, 'config.yaml'), yaml!.replace(/^ {3}/gm, ''))
  for (const part of ['gateway restart', 'openssl req', 'nginx -t']) {
    await type(t, block('docs/deploy.md', part))
  }
  await until(async () => (await run(block('docs/deploy.md', '--resolve'), env(), CLONE)).code === 0)
  const { output } = await type(t, block('docs/deploy.md', '--resolve'))
  t.match(output, '{"status":"ok"}')
  const ping = block('docs/deploy.md', 'gateway.ping')
  const trusted = { NODE_EXTRA_CA_CERTS: CERTIFICATE }
  await type(t, ping.replace('…', token()), trusted)
  const refused = await run(ping.replace('…', 'a-token-that-nobody-has'), env(trusted), CLONE)
  t.equal(refused.code, 77, 'not without the token', refused)
})

const token = () => readFileSync(join(STATE, 'token'), 'utf8').trim()

let prometheus: ChildProcess | null = null
t.teardown(() => prometheus?.kill())

t.test('scraped by Prometheus', async (t) => {
  const lines = block('docs/operations.md', 'prometheus --config.file').trim().split('\n')
  await type(t, lines.slice(0, -1).join('\n'))
  prometheus = spawn('bash', ['-c', `exec ${lines.at(-1)}`], { cwd: CLONE, env: env(), stdio: 'ignore' })
})

t.test('upgraded by a stop and a start under load, and no message is lost', async (t) => {
  const load = new Load(['a', 'b', 'c', 'd'].map((name) => `load:${name}:main`))
  t.teardown(() => load.client.close())
  await until(() => load.accepted.size > 50)
  t.not(await version(t), NEXT_VERSION)
  await type(t, block('README.md', 'git pull'))
  t.equal(await version(t), NEXT_VERSION, 'it is another program')
  const before = load.accepted.size
  await until(() => load.accepted.size > before + 50)
  await load.stop()
  for (const sessionKey of load.sessions) {
    const sent = [...load.accepted].filter((text) => text.startsWith(sessionKey))
    await until(async () => (await load.said('assistant', sessionKey)).length >= sent.length)
    for (const by of ['user', 'assistant'] as const) {
      t.strictSame(await load.said(by, sessionKey), sent, `${sent.length} messages, each once, in order`)
    }
  }
})

async function version(t: Test): Promise<string> {
  const { output } = await type(t, 'lurkbot gateway status --json')
  return JSON.parse(output).info.version
}

/** Someone in each session who sends one message after the other, from outside; what fails is sent again. */
class Load {
  readonly accepted = new Set<string>()
  readonly client: GatewayClient
  readonly #senders: Promise<void>[]
  #stopped = false

  constructor(readonly sessions: readonly string[]) {
    this.client = createNodeClient({
      url: `${PUBLIC.replace('http', 'ws')}/ws`,
      token: token(),
      client: { id: 'load', version: '1.0.0', platform: 'node', mode: 'cli' },
      subscribe: [],
      tls: { ca: readFileSync(CERTIFICATE, 'utf8') },
    })
    this.client.connect()
    this.#senders = sessions.map((sessionKey) => this.#send(sessionKey))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#senders)
  }

  /** What was said in a session by one of the two. */
  async said(by: 'user' | 'assistant', sessionKey: string): Promise<string[]> {
    const texts: string[] = []
    let cursor: string | undefined
    do {
      const options = { limit: 200, order: 'asc', cursor } as const
      const { messages, nextCursor } = await this.client.request(sessionsHistory, options, { sessionKey })
      texts.push(...messages.filter(({ role }) => role === by).map(({ content }) => content))
      cursor = nextCursor ?? undefined
    } while (cursor !== undefined)
    return texts
  }

  async #send(sessionKey: string): Promise<void> {
    for (let n = 0; !this.#stopped; n++) {
      const content = `${sessionKey} ${n}`
      while (!(await this.#accepts(sessionKey, content)))
        await until(() => this.client.state.status === 'open')
      this.accepted.add(content)
    }
  }

  async #accepts(sessionKey: string, content: string): Promise<boolean> {
    try {
      await this.client.request(sessionsSend, { content, idempotencyKey: content }, { sessionKey })
      return true
    } catch (error) {
      if (error instanceof GatewayError && error.retryable) return false
      throw error
    }
  }
}

/** Panels that any gateway has something to show in, whatever it is used for. */
const ALWAYS = [
  ...['Up', 'Ready', 'Version', 'Running for', 'Connections', 'Health', 'Event loop delay'],
  ...['Memory', 'Processor', 'File descriptors'],
]

t.test('the queries of the dashboard answer', async (t) => {
  const ask = async (query: string) => {
    const response = await fetch(`http://127.0.0.1:9090/api/v1/query?${new URLSearchParams({ query })}`)
    return (await response.json()) as { status: string; data: { result: { value: [number, string] }[] } }
  }
  await until(async () => (await ask('up{job="lurkbot"}')).data.result[0]?.value[1] === '1')
  const has = async (expr: string) => (await ask(filledIn(expr, '1m'))).data.result.length > 0
  for (const panel of ALWAYS) {
    const [query] = dashboardQueries().filter(({ of }) => of === panel)
    // A rate needs two scrapes.
    await until(() => has(query!.expr))
    t.pass(`${panel} has data`)
  }
  const empty: string[] = []
  for (const { of, expr } of dashboardQueries()) {
    const { status, data } = await ask(filledIn(expr, '1m'))
    t.equal(status, 'success', `${of}: ${expr}`)
    if (data?.result.length === 0) empty.push(of)
  }
  t.comment(`without data so soon: ${empty.join(', ')}`)
})

t.test('removed without a trace', async (t) => {
  const ended = once(prometheus!, 'exit')
  prometheus!.kill()
  await ended
  t.equal(gateways().length, 1)
  await type(t, block('docs/deploy.md', 'rm -r /etc/ssl/lurkbot'))
  await type(t, block('README.md', 'rm -r ~/.lurkbot'))
  t.strictSame(gateways(), [])
  t.notOk(existsSync(STATE))
  t.strictSame(readdirSync(HOME).sort(), ['bin', 'lurkbot-gateway', 'next'], 'as the home folder was')
  t.strictSame(readdirSync(CLONE).sort(), CLONED.sort(), 'what was cloned has nothing more')
  t.strictSame(files(join(CLONE, 'deploy')), DEPLOY)
  // What was removed of the machine below is there as a mark.
  const changed = (of: string) =>
    Object.keys(files(join(MACHINE, of, 'changed'))).filter((path) => existsSync(join('/', of, path)))
  t.strictSame(
    changed('etc'),
    ['hosts'],
    'of /etc only the line that new-user.test.ts adds for the host name',
  )
  t.strictSame(
    changed('var').filter((path) => path.includes('lurkbot')),
    [],
  )
})
