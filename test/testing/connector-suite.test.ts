import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import type { ConnectorFactory } from '../../src/connectors/connector.js'
import { docsFolder } from '../../src/docs/generate.js'
import { connectorSuite } from '../../src/testing/connector-suite.js'
import { startApp } from '../helpers/app.js'
import { connectorContext } from '../helpers/connector-host.js'
import { LineServer } from '../helpers/line-server.js'
import { until } from '../helpers/until.js'

// Inside the package, so that the example finds `lurkbot-gateway` as one that installed it does.
const folder = t.testdir()
const file = join(folder, 'lines.mjs')
const page = await readFile(join(docsFolder(), 'plugins.md'), 'utf8')
const example = [...page.matchAll(/```javascript\n([\s\S]*?)```/g)].find(([, code]) => /'lines'/.test(code!))
await writeFile(file, example![1]!)
const { createLinesConnector } = (await import(pathToFileURL(file).href)) as {
  createLinesConnector: ConnectorFactory
}

t.test('the connector that the page shows', async (t) => {
  connectorSuite(
    (name, body) => t.test(name, body),
    async () => {
      const server = new LineServer()
      await server.start()
      const { port, token } = server
      return {
        connector: await createLinesConnector({ port, token }, connectorContext()),
        say: (text) => server.say(text),
        expected: { peer: 'ada', thread: null, group: false, mentioned: false, sender: { id: 'ada' } },
        target: { peer: 'bob', thread: null },
        heard: async () => (await server.heard()).replace(/^bob: /, ''),
        connections: () => server.sockets.size,
        deadHost: async () => createLinesConnector({ port: await freePort(), token }, connectorContext()),
        wrongToken: () => createLinesConnector({ port, token: 'wrong' }, connectorContext()),
        close: () => server.close(),
      }
    },
  )
})

t.test('it holds a conversation through the gateway, and comes back when the platform does', async (t) => {
  const server = new LineServer()
  await server.start()
  t.teardown(() => server.close())
  const { port, token } = server
  const { app, connect } = await startApp(t, {
    plugins: [{ module: file }],
    connectors: { work: { type: 'lines', allow: ['ada'], ...{ port, token } } },
    channels: { reconnect: { backoffMs: 1, maxBackoffMs: 2 } },
  })
  const ready = () => app.channels.get('lines')!.ready
  await until(ready)
  const socket = await connect()
  server.say('hello')
  await socket.event('agent.completed', ({ sessionKey }) => sessionKey === 'lines:ada:main')
  await until(() => server.acknowledged.length === 1)
  for (const connection of server.sockets) connection.destroy()
  await socket.event('channel.status', ({ payload }) => payload.state === 'waiting')
  await until(ready)
  await socket.call('channels.send', { channel: 'lines', peer: 'ada', text: 'still here', wait: true })
  t.equal(await server.heard(), 'ada: still here')
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
