import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { buildApp, loadConfig } from 'lurkbot-gateway'
import { createNodeClient } from 'lurkbot-gateway/client/node'
import { connectorSuite } from 'lurkbot-gateway/testing'
import { createLinesConnector } from './index.js'
import { LinesServer } from './lines-server.js'

// What every connector must do; further tests of one's own go below.
connectorSuite(test, async () => {
  const platform = new LinesServer()
  await platform.listen()
  const { port, token } = platform
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const make = (options) => createLinesConnector({ port, token, ...options }, { log })
  return {
    connector: make(),
    say: (text) => platform.say(text),
    expected: { peer: 'ada', thread: null, group: false, mentioned: false, sender: { id: 'ada' } },
    target: { peer: 'bob', thread: null },
    heard: async () => (await platform.heard()).replace(/^bob: /, ''),
    connections: () => platform.sockets.size,
    deadHost: async () => make({ port: await freePort() }),
    wrongToken: () => make({ token: 'wrong' }),
    close: () => platform.close(),
  }
})

test('a conversation goes on after the platform has dropped the connection', async (t) => {
  const platform = new LinesServer()
  await platform.listen()
  t.after(() => platform.close())
  const client = await startGateway(t, platform)
  platform.say('hello')
  assert.equal(await platform.heard(), 'ada: hello')
  const waits = statusOf(client, 'waiting')
  platform.dropConnections()
  await waits
  platform.say('still there?')
  assert.equal(await platform.heard(), 'ada: still there?')
  const channel = { channel: 'lines', peer: 'bob' }
  await client.request('channels.send', { ...channel, text: 'The build\nis green.', wait: true })
  assert.equal(await platform.heard(), 'bob: The build is green.')
})

/** A gateway that is configured as the README says, its `echo` agent, and a client of it. */
async function startGateway(t, { port, token }) {
  const home = await mkdtemp(join(tmpdir(), 'lines-'))
  const module = fileURLToPath(new URL('./index.js', import.meta.url))
  const config = {
    port: 0,
    plugins: [{ module }],
    connectors: { work: { type: 'lines', port, token, allow: ['ada'] } },
    channels: { reconnect: { backoffMs: 1, maxBackoffMs: 2 } },
  }
  await writeFile(join(home, 'config.json'), JSON.stringify(config))
  const app = await buildApp(await loadConfig({ env: {}, home }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = createNodeClient({
    url: `ws://127.0.0.1:${app.server.address().port}/ws`,
    client: { id: 'test', version: '1.0.0', platform: 'node', mode: 'cli' },
  })
  await client.connect()
  t.after(async () => {
    await client.close()
    await app.close()
    await rm(home, { recursive: true, force: true })
  })
  return client
}

/** Resolves when the channel next gets into that state. */
function statusOf(client, state) {
  return new Promise((resolve) => {
    const off = client.on('channel.status', ({ payload }) => {
      if (payload.state !== state) return
      off()
      resolve()
    })
  })
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
