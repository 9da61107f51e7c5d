import type { Test } from 'tap'
import { freePort } from '../helpers/free-port.js'
import type { GatewayProcess } from '../helpers/gateway-process.js'
import { TestDevice } from '../helpers/identities.js'
import { TestSocket } from '../helpers/socket.js'
import { messageOf, TelegramApi, TOKEN } from '../helpers/telegram-api.js'
import { until } from '../helpers/until.js'

/** What the reader of a page has before it is read. */
export interface Setting {
  /** Files of the state folder. */
  readonly files?: Readonly<Record<string, string>>
  /** What has happened in the gateway; gives what stands for something of the reader's, with what it is here. */
  readonly prepare?: (gateway: GatewayProcess) => Promise<Iterable<readonly [string, string]>>
  /** A script that ends what the page leaves running. */
  readonly finish?: string
}

/** A page's scripts, or parts of them, with the reason. */
type Scripts = Readonly<Record<string, Readonly<Record<string, string>>>>

/** What is not run at all, and why. */
export const UNTOUCHED: Scripts = {
  'README.md': {
    'npm ci && npm start':
      'it would install over the tree that is tested; .ci/run and the Dockerfile install in clean ones, and .ci/run starts what it installed',
    'npm cit': 'it runs this test',
    'npm link': 'it changes the machine; the program that was built is on the path instead',
  },
  'docs/deploy.md': {
    'docker build': 'there is no Docker in CI; test/image/ runs the steps of the Dockerfile',
    'docker compose': 'there is no Docker in CI; test/deploy/compose.test.ts checks the file',
    kubectl: 'there is no cluster in CI; test/deploy/kubernetes.test.ts checks the manifests',
  },
  'docs/operations.md': {
    OTEL_EXPORTER_OTLP_ENDPOINT:
      '@opentelemetry/sdk-node is the reader’s; test/tracing/process.test.ts runs the example that does the same',
  },
  'docs/reliability.md': { 'npx tap dist/test/fault': 'it is a part of the tests that run beside this one' },
}

const STORY = 'test/e2e/new-user.ts'

/** What another test runs: as written, but where it says what is different. */
export const RUN_ELSEWHERE: Scripts = {
  'README.md': { 'lurkbot gateway start --daemon': STORY, 'lurkbot gateway stop': STORY },
  'docs/deploy.md': {
    'lurkbot gateway restart': STORY,
    '/etc/ssl/lurkbot': STORY,
    '/etc/nginx/conf.d': STORY,
    'gateway.ping --url': `${STORY}; under a path test/deploy/proxy-suite.ts`,
  },
  'docs/cli.md': {
    'gateway logs -f': 'test/cli/gateway-logs.test.ts, without jq behind it: it goes on until Ctrl-C',
    'daemon status': 'test/cli/daemon/systemd-service.test.ts runs each, under a systemd of its own',
  },
  'docs/operations.md': { 'deploy/prometheus': STORY },
  'docs/channels/mqtt.md': { mosquitto_rr: 'test/connectors/mqtt/mqtt.test.ts' },
  'docs/channels/webhook.md': { 'openssl dgst': 'test/connectors/webhook/receiving.test.ts' },
}

/** Asks before it tidies up; everything else it says again. */
const ASKER = `export default async (event, context) => {
  const { content } = event.payload
  if (content !== 'Tidy up.') return content
  const { optionId } = await context.ask({
    title: 'Delete all drafts?',
    options: [{ id: 'allow', name: 'Delete', kind: 'allow_once' }],
  })
  return String(optionId)
}
`
const ASKS = { 'asker.mjs': ASKER }
const ASKING = 'agents: { asker: { type: module, path: ./asker.mjs } }\ndefaultAgent: asker\n'

/** A bot that a stranger may ask to be let in by. */
async function telegram(t: Test): Promise<{ api: TelegramApi; yaml: string }> {
  const api = await TelegramApi.start(t)
  return { api, yaml: `connectors: { tg: { type: telegram, token: "${TOKEN}", apiRoot: "${api.url}" } }\n` }
}

async function connect(t: Test, { wsUrl }: GatewayProcess): Promise<TestSocket> {
  const socket = new TestSocket(wsUrl)
  t.teardown(() => socket.terminate())
  await socket.opened
  return socket
}

/** A connection that has said hello. */
async function client(t: Test, gateway: GatewayProcess, hello = {}): Promise<TestSocket> {
  const socket = await connect(t, gateway)
  await socket.hello(hello)
  return socket
}

const NOTHING: Iterable<readonly [string, string]> = []

export const SETTINGS: Readonly<Record<string, (t: Test) => Setting | Promise<Setting>>> = {
  'docs/agents.md': (t) => ({
    files: { ...ASKS, 'config.yaml': ASKING },
    prepare: async (gateway) => {
      await (await client(t, gateway)).call('sessions.send', { content: 'Tidy up.' }, 'cli:me:main')
      return NOTHING
    },
  }),
  'docs/channels.md': async (t) => {
    const { api, yaml } = await telegram(t)
    return {
      files: { 'config.yaml': yaml },
      prepare: async (gateway) => {
        const socket = await client(t, gateway)
        const chat = { id: 123456789, type: 'private' }
        api.say('message', messageOf('Hello?', { from: { ...chat, is_bot: false, first_name: 'Ada' }, chat }))
        await until(() => api.sent.length > 0)
        const { pairings } = await socket.call('pairing.list')
        return [['7KQ4M2XD', pairings[0].code]]
      },
    }
  },
  'docs/cli.md': async (t) => {
    const { yaml } = await telegram(t)
    return {
      files: { ...ASKS, 'config.yaml': yaml + ASKING },
      prepare: async () => [['18790', String(await freePort())]],
      finish: 'lurkbot --profile work gateway stop',
    }
  },
  'docs/cron.md': async (t) => ({ files: { 'config.yaml': (await telegram(t)).yaml } }),
  'docs/operations.md': (t) => ({
    prepare: async (gateway) => {
      const { helloOk } = await client(t, gateway)
      return [['5d0c2f8a-1b7e', (helloOk!.server as { connId: string }).connId]]
    },
  }),
  'docs/security.md': (t) => ({
    files: {
      'config.yaml':
        'auth: { enabled: true, pairing: { enabled: true }, tokens: [{ name: me, token: a-token-of-mine-that-is-long }] }\n',
    },
    prepare: async (gateway) => {
      await new TestDevice().connect({ open: () => connect(t, gateway) })
      return NOTHING
    },
  }),
  'docs/sessions.md': (t) => ({
    prepare: async (gateway) => {
      const socket = await client(t, gateway)
      for (const key of ['web:1:main', 'telegram:123456789:main'])
        await socket.call('sessions.create', {}, key)
      return NOTHING
    },
  }),
  'docs/troubleshooting.md': (t) => ({
    prepare: async (gateway) => {
      await (await client(t, gateway)).call('sessions.create', {}, 'cli:me:main')
      return NOTHING
    },
  }),
}
