import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'
import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import { freePort } from '../helpers/free-port.js'
import { type GatewayProcess, startGateway } from '../helpers/gateway-process.js'
import { type Prometheus, promtool, startPrometheus } from '../helpers/prometheus.js'
import { alerts, DEPLOY, dashboardQueries, filledIn } from '../helpers/promql.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'

const TOKEN = 'a-token-that-prometheus-has'
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const TEXT = 'text/plain; version=0.0.4; charset=utf-8'
/** Also the time that a scrape may take, on a machine that does much else. */
const INTERVAL = '1s'

/** Serves and ends with the test. */
async function serve(t: Test, listener: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(listener!)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close().closeAllConnections())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The gateway whose metrics need a token, with something of everything that the dashboard shows. */
async function gatewayWith(t: Test, home: string) {
  const platform = await serve(t, (request, response) => {
    request.resume()
    response.writeHead(204).end()
  })
  writeFileSync(
    join(home, 'broken.mjs'),
    'export default async () => { throw new Error("this one always fails") }\n',
  )
  const config = {
    port: await freePort(),
    // The rules look for the name, and the scrape comes with a token.
    auth: { enabled: true, tokens: [{ name: 'prometheus', token: TOKEN, role: 'admin' }] },
    metrics: { auth: true },
    rateLimit: { http: { max: 0 } },
    agents: {
      broken: { type: 'module', path: './broken.mjs', retry: { attempts: 1 }, breaker: { failures: 100 } },
      crew: { type: 'worker' },
    },
    connectors: {
      hook: { type: 'webhook', secrets: [SECRET], url: `http://${platform}/` },
    },
  }
  writeFileSync(join(home, 'config.json'), JSON.stringify(config))
  const env = { LURKBOT_GATEWAY__PORT: String(config.port) }
  const start = async (): Promise<GatewayProcess> => {
    const gateway = await startGateway({ home, env })
    t.teardown(() => gateway.kill9())
    return gateway
  }
  return { address: `127.0.0.1:${config.port}`, start }
}

/** Makes everything happen that the main panels show, and much that is odd, under names that a client made up. */
async function drive(t: Test, { wsUrl, url }: GatewayProcess): Promise<void> {
  const socket = new TestSocket(`${wsUrl}`, { headers: { authorization: `Bearer ${TOKEN}` } })
  t.teardown(() => socket.terminate())
  await socket.opened
  await socket.hello({ client: { id: 'evil-client', version: 'evil', platform: 'evil', mode: 'cli' } })
  const key = 'evil-channel:evil-key'
  await socket.call('sessions.send', { content: 'hi', wait: true }, key)
  await socket.call('sessions.create', { agent: 'broken' }, 'evil:broken')
  await socket.call('sessions.send', { content: 'hi', wait: true }, 'evil:broken')
  await socket.call('events.publish', { type: 'evil.type', source: 'evil-source', payload: {} }, key)
  await socket.refused('evil.method')
  await socket.refused('sessions.get', {}, 'evil-channel:other')
  socket.send('evil frame')
  const job = {
    name: 'evil-job',
    schedule: { everyMs: 3_600_000 },
    payload: { kind: 'agentTurn', message: 'hi' },
  }
  const { jobId } = (await socket.call('cron.add', job, 'evil:cron')).job
  await socket.call('cron.run', { jobId })
  const stranger = new TestSocket(wsUrl)
  await stranger.opened
  await stranger.hello({ auth: { token: 'evil-token' } })
  await stranger.closed
  const body = JSON.stringify({ peer: 'evil-peer', text: 'hi' })
  const now = new Date()
  const headers = {
    'content-type': 'application/json',
    'webhook-id': 'evil-id',
    'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
    'webhook-signature': new Webhook(SECRET).sign('evil-id', now, body),
  }
  t.equal((await fetch(`${url}/channels/hook`, { method: 'POST', headers, body })).status, 202)
  await fetch(`${url}/evil-path`, { headers: { origin: 'https://evil.example' } })
  await fetch(`${url}/channels/evil-name`, { method: 'POST' })
}

/** A copy of what ships, for this gateway, in a hurry: nothing else is changed. */
function inHurry(folder: string, address: string, textAddress: string): string {
  const edit = (name: string, change: (text: string) => string) => {
    const path = join(folder, name)
    writeFileSync(path, change(readFileSync(path, 'utf8')))
  }
  edit(
    'prometheus.yml',
    (text) =>
      `${text.replaceAll(/_interval: 15s/g, `_interval: ${INTERVAL}`).replace('127.0.0.1:18789', address)}
  - job_name: text
    static_configs:
      - targets: ["${textAddress}"]
`,
  )
  edit('rules/lurkbot.rules.yml', (text) => text.replaceAll(/^( +for): .*$/gm, '$1: 0s'))
  return join(folder, 'prometheus.yml')
}

/** Those of the dashboard's queries that have no data. */
async function withoutData(prometheus: Prometheus): Promise<string[]> {
  const queries = dashboardQueries().filter(({ of }) => of !== 'Starts')
  const answers = await Promise.all(queries.map(({ expr }) => prometheus.query(filledIn(expr, '20s'))))
  return queries.filter((_, i) => answers[i]!.length === 0).map(({ of }) => of)
}

t.test('what ships for Prometheus is well-formed, and its rules pass their tests', async (t) => {
  const folder = await temporaryFolder(t)
  cpSync(`${DEPLOY}prometheus`, folder, { recursive: true })
  writeFileSync(join(folder, 'lurkbot.token'), TOKEN)
  for (const args of [
    ['check', 'config', join(folder, 'prometheus.yml')],
    ['check', 'rules', '--lint-fatal', join(folder, 'rules/lurkbot.rules.yml')],
    ['test', 'rules', join(folder, 'rules/lurkbot.test.yml')],
  ]) {
    const { status, output } = promtool(args)
    t.equal(status, 0, output)
  }
})

t.test('a real Prometheus scrapes the gateway with what ships', async (t) => {
  const home = await temporaryFolder(t)
  const { address, start } = await gatewayWith(t, home)
  const gateway = await start()
  const accepted = new Set<string>()
  // Prometheus asks for OpenMetrics; this hands it the other format.
  const textAddress = await serve(t, async (request, response) => {
    accepted.add(request.headers.accept ?? '')
    const headers = { authorization: `Bearer ${TOKEN}`, accept: TEXT }
    const answer = await fetch(`http://${address}/metrics`, { headers }).catch(() => null)
    response.writeHead(answer?.status ?? 502, { 'content-type': TEXT }).end((await answer?.text()) ?? '')
  })
  const folder = join(home, 'prometheus')
  cpSync(`${DEPLOY}prometheus`, folder, { recursive: true })
  writeFileSync(join(folder, 'lurkbot.token'), `${TOKEN}\n`)
  const prometheus = await startPrometheus(t, inHurry(folder, address, textAddress), join(home, 'data'))
  const upIs = (value: string) => async () =>
    (await prometheus.query('up{job="lurkbot"}')).some((sample) => sample.value[1] === value)

  await t.test('both formats, with the token of the file', async (t) => {
    t.equal((await fetch(`${gateway.url}/metrics`)).status, 401, 'without it nobody is let in')
    await until(upIs('1'))
    const problems = async () =>
      (await prometheus.targets())
        .filter(({ health }) => health !== 'up')
        .map(({ labels, lastError }) => `${labels.job}: ${lastError}`)
    await until(async () => (await problems()).length === 0)
    t.match([...accepted].join(), 'application/openmetrics-text', 'it asks for OpenMetrics')
    const names = async (job: string) =>
      (await prometheus.query(`group by (__name__) ({job="${job}", __name__=~"gateway_.+"})`))
        .map(({ metric }) => metric.__name__)
        .sort()
    t.same(await names('lurkbot'), await names('text'), 'they say the same')
    const types = await prometheus.get<Record<string, { type: string }[]>>('metadata', { limit: '500' })
    t.equal(types.gateway_events_total?.[0]?.type ?? types.gateway_events?.[0]?.type, 'counter')
  })

  await drive(t, gateway)

  await t.test(
    'every query of the dashboard is answered, and all but what did not happen has data',
    async (t) => {
      // There are no hooks, and there is no TLS.
      const expected = ['Hooks', 'Hooks', 'Hooks', 'Certificate ends in']
      let missing: readonly string[] = []
      // A single scrape may come too late.
      await until(async () => {
        missing = await withoutData(prometheus)
        return missing.every((of) => expected.includes(of))
      })
      t.same(missing, expected)
    },
  )

  await t.test('promtool finds nothing to complain about after all this', async (t) => {
    const headers = { authorization: `Bearer ${TOKEN}` }
    const text = await (await fetch(`${gateway.url}/metrics`, { headers })).text()
    const { status, output } = promtool(['check', 'metrics'], text)
    t.equal(status, 0, output)
  })

  await t.test('no series has a name that a client chose, a secret or a session key', async (t) => {
    const series = JSON.stringify(await prometheus.get('series', { 'match[]': '{job="lurkbot"}' }))
    t.match(series, 'gateway_events_total')
    t.notMatch(series, /evil/i)
    t.notOk(series.includes(TOKEN) || series.includes(SECRET))
  })

  await t.test('every rule can be evaluated', async (t) => {
    const rules = await prometheus.rules()
    t.equal(rules.length, alerts().length)
    for (const { name, health, lastError } of rules) t.equal(health, 'ok', `${name}: ${lastError}`)
  })

  await t.test('an alert fires while the gateway is dead, and ends when it is back', async (t) => {
    const fires = async () => (await prometheus.firing()).includes('LurkBotGatewayDown')
    await until(async () => !(await fires()))
    await gateway.kill9()
    await until(fires)
    t.same(await prometheus.query('gateway_ready{job="lurkbot"}'), [], 'what it said before does not stay')
    await start()
    await until(async () => (await upIs('1')()) && !(await fires()))
    t.notMatch(prometheus.log, /level=(warn|error)/, 'it had nothing else to say')
  })
})
