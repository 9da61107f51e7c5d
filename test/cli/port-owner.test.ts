import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { findPortOwner } from '../../src/cli/port-owner.js'

async function listen(t: Test, host: string): Promise<number> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

t.test('the process that listens on a port is found', async (t) => {
  for (const host of ['127.0.0.1', '::1']) {
    const owner = await findPortOwner(await listen(t, host))
    t.match(owner, { pid: process.pid, command: /node/ }, host)
  }
})

t.test('a port on which nobody listens has no owner', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  t.equal(await findPortOwner(port), null)
})
