import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { buildApp, loadConfig } from 'lurkbot-gateway'
import { createNodeClient } from 'lurkbot-gateway/client/node'

/** A gateway with this plugin, as its configuration file would have it, and a client of it. */
async function start(t, options) {
  const home = await mkdtemp(join(tmpdir(), 'transcripts-'))
  const module = fileURLToPath(new URL('./index.js', import.meta.url))
  await writeFile(join(home, 'config.json'), JSON.stringify({ port: 0, plugins: [{ module, options }] }))
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

test('a conversation is given as Markdown', async (t) => {
  const client = await start(t, { heading: 'What was said' })
  const session = { sessionKey: 'test:1:main' }
  await client.request('sessions.send', { content: 'Hello!', wait: true }, session)
  const { markdown } = await client.request('transcripts.get', {}, session)
  assert.equal(markdown, '# What was said\n\n**anonymous**\n\nHello!\n\n**assistant**\n\nHello!')
})

test('what the contract does not allow never gets to the handler', async (t) => {
  const client = await start(t, {})
  const session = { sessionKey: 'test:1:main' }
  await assert.rejects(client.request('transcripts.get', { limit: 0 }, session), { code: 'INVALID_REQUEST' })
  await assert.rejects(client.request('transcripts.get', {}), { code: 'INVALID_REQUEST' })
  await assert.rejects(client.request('transcripts.get', {}, session), { code: 'NOT_FOUND' })
})
