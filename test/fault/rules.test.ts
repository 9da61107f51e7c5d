import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { until } from '../helpers/until.js'
import { startFaulty } from './harness.js'

t.test(
  'a receiver that says nothing holds neither lanes nor memory, and hears of so much only',
  async (t) => {
    const receiver = createServer(() => {}).listen(0, '127.0.0.1')
    await once(receiver, 'listening')
    t.teardown(() => receiver.close().closeAllConnections())
    const { port } = receiver.address() as AddressInfo
    const webhook = { url: `http://127.0.0.1:${port}/`, attempts: 1, timeoutMs: 60_000 }
    const rules = [
      { name: 'silent', on: ['message:received', 'agent:*'], webhook },
      { name: 'broken', on: 'agent:completed', message: { sessionKey: 'not a key', text: 'x' } },
      { name: 'echoing', on: '*', message: { sessionKey: 'mirror:1:main', text: '{{name}}' } },
    ]
    const gateway = await startFaulty(t, {
      config: { hooks: { concurrency: 2, maxQueued: 10 }, lanes: { capacity: 1_000 } },
      // JSON is YAML.
      files: { 'hooks.yaml': JSON.stringify({ hooks: rules }) },
    })
    const polite = await gateway.polite()
    const restored = await gateway.restored()
    const socket = await gateway.connect()
    const keys = Array.from({ length: 20 }, (_, i) => `flood:${i}:main`)
    const sends = Array.from({ length: 200 }, (_, i) =>
      socket.call('sessions.send', { content: `m${i}`, wait: true }, keys[i % keys.length]!),
    )
    const answers = await polite.during(Promise.all(sends))
    t.ok(answers.every(({ outcome }) => outcome.status === 'completed'))
    const { hooks } = await socket.call('hooks.list')
    const [silent, broken, echoing] = hooks
    t.match(silent, { name: 'silent', calls: 2, waiting: 10, failures: 0 })
    // Three steps of each message, and of what the third rule has written.
    t.ok(silent.dropped >= 600 - 12, `${silent.dropped} were left out`)
    t.ok(broken.failures >= 1 && broken.lastError.message.includes('is no session key'))
    t.match(echoing, { failures: 0 })
    const mirrored = () => gateway.metric('gateway_events_total', { source: 'hook' })
    const written = await mirrored()
    t.ok(
      written > 0 && written <= 20 * 2 + 600,
      `${written} messages, and none for those that it wrote itself`,
    )
    receiver.close().closeAllConnections()
    await until(async () => (await socket.call('hooks.list')).hooks[0].waiting === 0)
    await until(async () => (await socket.call('lanes.list')).total === 0)
    t.ok((await mirrored()) <= 20 * 2 + 600 + 10, 'it has come to rest')
    socket.terminate()
    await polite.verify(t)
    await restored(t)
  },
)
