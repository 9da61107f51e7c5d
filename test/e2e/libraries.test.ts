import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freePort } from '../helpers/free-port.js'
import { startGateway, temporaryHome } from '../helpers/gateway-process.js'
import { until } from '../helpers/until.js'

/** What adapters are made of: each is loaded when one that needs it is configured, and only then. */
const OF_ADAPTERS = [
  '@agentclientprotocol/sdk',
  '@discordjs/core',
  '@discordjs/rest',
  '@slack/socket-mode',
  '@slack/web-api',
  '@xmpp/client',
  'grammy',
  'irc-framework',
  'mqtt',
  'standardwebhooks',
]

const HOOKS = `
import { appendFileSync } from 'node:fs'
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context)
  appendFileSync(process.env.IMPORTS, found.url + '\\n')
  return found
}`
const dataUrl = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`
const RECORDER = dataUrl(
  `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(HOOKS))})`,
)

/** The packages that a gateway has imported by the time that it serves, and until `isEnough`. */
async function importsOf(
  t: Test,
  env: NodeJS.ProcessEnv,
  isEnough: (packages: Set<string>) => boolean = () => true,
): Promise<Set<string>> {
  const { home, remove } = temporaryHome()
  t.teardown(remove)
  const file = join(home, 'imports')
  const gateway = await startGateway({
    home,
    env: { ...env, IMPORTS: file, NODE_OPTIONS: `--import ${RECORDER}` },
  })
  t.teardown(() => gateway.kill9())
  const read = () =>
    new Set(
      [...readFileSync(file, 'utf8').matchAll(/\/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)].map(
        ([, name]) => name!,
      ),
    )
  await until(() => isEnough(read()))
  await gateway.stop()
  return read()
}

t.test('a gateway without adapters loads none of their libraries', async (t) => {
  const packages = await importsOf(t, {})
  t.ok(packages.has('fastify'), 'what it needs is seen')
  t.same(
    OF_ADAPTERS.filter((name) => packages.has(name)),
    [],
  )
})

t.test('with all of them it loads each, so that what is looked for is what would be seen', async (t) => {
  const dead = `127.0.0.1:${await freePort()}`
  const secret = `whsec_${Buffer.alloc(24).toString('base64')}`
  const connectors = {
    tg: { type: 'telegram', token: '1:x', apiRoot: `http://${dead}` },
    sl: { type: 'slack', botToken: 'xoxb-x', appToken: 'xapp-x', apiUrl: `http://${dead}` },
    di: { type: 'discord', token: 'x'.repeat(20), apiUrl: `http://${dead}` },
    irc: { type: 'irc', host: '127.0.0.1', port: Number(dead.split(':')[1]), nick: 'lurk', tls: false },
    mq: { type: 'mqtt', url: `mqtt://${dead}` },
    xm: { type: 'xmpp', jid: 'lurk@localhost', password: 'x', service: `xmpps://${dead}` },
    hook: { type: 'webhook', secrets: [secret] },
  }
  const agents = { coder: { type: 'acp', command: process.execPath, cwd: '.' } }
  const env = {
    LURKBOT_GATEWAY__CONNECTORS: JSON.stringify(connectors),
    LURKBOT_GATEWAY__AGENTS: JSON.stringify(agents),
  }
  const packages = await importsOf(t, env, (seen) => OF_ADAPTERS.every((name) => seen.has(name)))
  t.strictSame(
    OF_ADAPTERS.filter((name) => !packages.has(name)),
    [],
  )
})
