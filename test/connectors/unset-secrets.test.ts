import t from 'tap'
import { checkConfig } from '../../src/app.js'
import { startApp, testConfig } from '../helpers/app.js'
import { captureLog } from '../helpers/log.js'
import { until } from '../helpers/until.js'

const DEAD = '127.0.0.1:1'

/** Of each type one, by the variable that its secret is to be in. */
const CONNECTORS = {
  UNSET_TELEGRAM: { type: 'telegram', tokenEnv: 'UNSET_TELEGRAM', apiRoot: `http://${DEAD}` },
  UNSET_SLACK: { type: 'slack', botToken: 'xoxb-x', appTokenEnv: 'UNSET_SLACK', apiUrl: `http://${DEAD}` },
  UNSET_DISCORD: { type: 'discord', tokenEnv: 'UNSET_DISCORD', apiUrl: `http://${DEAD}` },
  UNSET_IRC: {
    type: 'irc',
    host: '127.0.0.1',
    port: 1,
    nick: 'lurk',
    sasl: { account: 'lurk', passwordEnv: 'UNSET_IRC' },
  },
  UNSET_MQTT: { type: 'mqtt', url: `mqtt://${DEAD}`, username: 'lurk', passwordEnv: 'UNSET_MQTT' },
  UNSET_XMPP: { type: 'xmpp', jid: 'lurk@localhost', passwordEnv: 'UNSET_XMPP', service: `xmpps://${DEAD}` },
  UNSET_WEBHOOK: { type: 'webhook', secretEnv: 'UNSET_WEBHOOK' },
}
const VARIABLES = Object.keys(CONNECTORS).sort()

t.test('a gateway whose channels lack their secrets starts, is ready and says so once of each', async (t) => {
  const { logger, lines } = captureLog()
  const { app, url, connect } = await startApp(t, { connectors: CONNECTORS }, { logger })
  const states = () => app.channels.statuses().map(({ state }) => state)
  await until(() => states().every((state) => state === 'failed'))
  t.equal((await fetch(`${url}/health/ready`)).status, 200)
  t.match(await (await fetch(`${url}/health`)).json(), { checks: { channels: { status: 'degraded' } } })
  const socket = await connect()
  for (const [variable, { type }] of Object.entries(CONNECTORS)) {
    const { channel } = await socket.call('channels.status', { channel: type })
    const error = { code: 'NOT_LINKED', message: `The variable ${variable} is not set.`, retryable: false }
    t.match(channel, { connector: variable, state: 'failed', error })
  }
  const told = lines.filter(({ level }) => level > 30)
  t.strictSame(told.map(({ connector }) => connector).sort(), VARIABLES)
  t.ok(told.every(({ msg, cause }) => msg === 'channel failed' && /UNSET_\w+ is not set/.test(`${cause}`)))
})

t.test('a check of the configuration names each variable that is not set', async (t) => {
  const { logger, lines } = captureLog()
  const config = testConfig({ connectors: CONNECTORS })
  await checkConfig({ config, baseDir: process.cwd(), sources: new Map(), logger })
  t.match(
    lines.filter(({ level }) => level > 30).sort((a, b) => `${a.variable}`.localeCompare(`${b.variable}`)),
    VARIABLES.map((variable) => ({ connector: variable, variable, msg: /not set/ })),
  )
})
