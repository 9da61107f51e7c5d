import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../helpers/until.js'
import { history, startFaulty } from './harness.js'

/** Once, with the message that says so, it leaves an error behind that nobody catches. */
const AGENT = `
import { existsSync, writeFileSync } from 'node:fs'
const fuse = new URL('./fuse', import.meta.url)
export default async function (event, context) {
  const { content } = event.payload
  await new Promise((resolve) => setTimeout(resolve, 5))
  if (!content.startsWith('leave ') || existsSync(fuse)) return 'answer to ' + content
  writeFileSync(fuse, '')
  const stray = new Error('a stray error')
  if (content === 'leave timer') setTimeout(() => { throw stray }, 10)
  if (content === 'leave rejection') Promise.reject(stray)
  if (content === 'leave nothing') setTimeout(() => Promise.reject(undefined), 10)
  if (content === 'leave listener') {
    context.signal.addEventListener('abort', () => { throw stray })
    await new Promise(() => {})
  }
  return 'answer to ' + content
}
`

/** The same of a hook. */
const HOOK = `
import { existsSync, writeFileSync } from 'node:fs'
const fuse = new URL('./fuse', import.meta.url)
export default async function (app) {
  app.on('message:received', ({ event }) => {
    if (event.payload.content !== 'hook' || existsSync(fuse)) return
    writeFileSync(fuse, '')
    setTimeout(() => { throw new Error('a stray error') }, 10)
  })
}
`

for (const way of ['leave timer', 'leave rejection', 'leave nothing', 'leave listener', 'hook']) {
  t.test(
    `an error that nobody catches (${way}) ends the process, which says why; nothing is lost`,
    async (t) => {
      const gateway = await startFaulty(t, {
        config: {
          defaultAgent: 'stray',
          agents: { stray: { type: 'module', path: './stray.mjs', timeoutMs: 1_500 } },
          plugins: [{ module: './hook.mjs' }],
          lanes: { concurrency: 2 },
        },
        files: { 'stray.mjs': AGENT, 'hook.mjs': HOOK },
      })
      const socket = await gateway.connect()
      const sent = new Map<string, string[]>()
      const acknowledge = async (key: string, content: string) => {
        await socket.call('sessions.send', { content }, key)
        sent.set(key, [...(sent.get(key) ?? []), content])
      }
      for (let i = 0; i < 12; i++) await acknowledge(`stray:${i % 3}:main`, `m${i}`)
      const fatal = acknowledge('stray:1:main', way).catch(() => {})
      for (let i = 12; i < 24; i++) acknowledge(`stray:${i % 3}:main`, `m${i}`).catch(() => {})
      const { code, signal } = await gateway.process.exited
      await fatal
      // It ends itself by force where the journal's disk does not answer in a moment.
      t.ok(code === 1 || signal === 'SIGKILL', `ended with ${signal ?? code}`)
      t.match(gateway.process.output(), /"level":60.*uncaught error/, 'it says so')
      if (way !== 'leave nothing') t.match(gateway.process.output(), /a stray error/, 'and why')
      t.notOk(existsSync(join(gateway.home, 'gateway.pid')))
      if (socket.socket.readyState !== socket.socket.CLOSED) await once(socket.socket, 'close')

      await gateway.restart()
      const back = await gateway.connect()
      await until(async () => (await back.call('gateway.info')).lanes.pending === 0)
      for (const [key, contents] of sent) {
        const messages = await history(back, key)
        const of = (role: string) =>
          messages.filter((message) => message.role === role).map(({ content }) => content)
        const asked = of('user')
        t.same(asked.slice(0, contents.length), contents, `${key}: what was acknowledged is there`)
        t.same(
          of('assistant'),
          asked.map((content) => `answer to ${content}`),
          `${key}: and each was answered once, in order`,
        )
      }
    },
  )
}
