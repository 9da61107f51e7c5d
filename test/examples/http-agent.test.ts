import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { startApp, temporaryFolder } from '../helpers/app.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

/** The example's receiver, installed as its reader would; answers with its address. */
async function startReceiver(t: Test): Promise<string> {
  const folder = await temporaryFolder(t)
  await cp(join(ROOT, 'examples', 'http-agent'), folder, { recursive: true })
  await mkdir(join(folder, 'node_modules'))
  await symlink(
    join(ROOT, 'node_modules', 'standardwebhooks'),
    join(folder, 'node_modules', 'standardwebhooks'),
  )
  const env = { PATH: process.env.PATH, PORT: '0', RECEIVER_SECRET: SECRET }
  const child = spawn(process.execPath, ['receiver.js'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return line.replace('listening at ', '')
}

t.test('the example answers the gateway in pieces, and nobody else', async (t) => {
  const url = await startReceiver(t)
  const mine = { type: 'http', url, secret: SECRET }
  const { connect } = await startApp(t, { defaultAgent: 'mine', agents: { mine } })
  const socket = await connect()
  const key = 'web:1:main'
  const first = await socket.call('sessions.send', { content: 'hi', wait: true }, key)
  t.equal(first.outcome.message.content, 'You said “hi” after 0 messages.')
  const second = await socket.call('sessions.send', { content: 'ho', wait: true }, key)
  t.equal(second.outcome.message.content, 'You said “ho” after 2 messages.')
  const deltas = socket.events().filter(({ event }) => event === 'agent.delta')
  t.ok(deltas.length > 1)
  t.equal((await fetch(url, { method: 'POST', body: '{}' })).status, 401)
})
