import Fastify from 'fastify'
import t, { type Test } from 'tap'
import reverseProxy from '../../plugins/reverse-proxy.js'

async function start(t: Test, trustProxy: string[] | boolean) {
  const log: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => log.push(line) } } })
  t.teardown(() => app.close())
  await app.register(reverseProxy, { config: { trustProxy } })
  app.get('/', async (request) => request.clientAddress)
  const get = async (forwarded?: string) => {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
    return (await app.inject({ path: '/', headers, remoteAddress: '10.0.0.1' })).body
  }
  return { get, log }
}

t.test('a proxy that trustProxy does not name is not believed, and the log says so once', async (t) => {
  const { get, log } = await start(t, ['10.0.0.2'])
  t.equal(await get(), '10.0.0.1')
  t.strictSame(log, [])
  t.equal(await get('192.0.2.1'), '10.0.0.1')
  t.equal(await get('192.0.2.2'), '10.0.0.1')
  t.equal(log.length, 1)
  t.match(JSON.parse(log[0]!), { peer: '10.0.0.1', msg: /trustProxy/ })
})

t.test('one that it names is believed without a word', async (t) => {
  const { get, log } = await start(t, ['10.0.0.0/8'])
  t.equal(await get('192.0.2.1'), '192.0.2.1')
  t.strictSame(log, [])
})
