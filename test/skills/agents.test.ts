import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { ACP_PROGRAM } from '../helpers/acp.js'
import { startApp } from '../helpers/app.js'

const skill = (name: string, body: string) => ({
  'SKILL.md': `---\nname: ${name}\ndescription: Does ${name}.\n---\n\n${body}\n`,
})

const FOLDER = { cook: skill('cook', 'Boil it.'), swim: skill('swim', 'x'.repeat(300)) }

/** An HTTP server that keeps the requests and answers each alike. */
async function backend(t: Test, type: string, answer: string) {
  const got: Record<string, unknown>[] = []
  const server = createServer(async (request, response) => {
    got.push((await json(request)) as Record<string, unknown>)
    response.writeHead(200, { 'content-type': type }).end(answer)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close().closeAllConnections())
  return { got, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

t.test('a module is given the skills that its agent is for', async (t) => {
  const home = t.testdir({
    skills: FOLDER,
    'names.mjs':
      'export default async (event, { skills }) => skills.map((one) => one.name + one.body.length).join()',
  })
  const module = { type: 'module', path: './names.mjs' }
  const { connect } = await startApp(
    t,
    {
      agents: {
        everything: module,
        nothing: { ...module, skills: 'none' },
        some: { ...module, skills: ['swim', 'unknown', 'lurkbot-cli'] },
      },
      routing: ['everything', 'nothing', 'some'].map((agent) => ({ sessionKey: `${agent}:*`, agent })),
    },
    { home },
  )
  const socket = await connect()
  const said = async (agent: string) => {
    const { outcome } = await socket.call('sessions.send', { content: 'x', wait: true }, `${agent}:1:main`)
    return outcome.message?.content ?? ''
  }
  t.equal(await said('everything'), 'cook8,swim300')
  t.equal(await said('nothing'), '')
  // The one of the gateway only where the program is that it tells of.
  t.match(await said('some'), /^swim300(,lurkbot-cli\d+)?$/)
})

t.test('a model is told of skills in its system message, with as much of them as may be', async (t) => {
  const home = t.testdir({ skills: FOLDER })
  const chunk = { choices: [{ delta: { content: 'fine' }, finish_reason: 'stop' }] }
  const { got, url } = await backend(
    t,
    'text/event-stream',
    `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`,
  )
  const helper = { type: 'openai', baseUrl: url, model: 'm', systemPrompt: 'Be kind.', skillsMaxChars: 100 }
  const { connect } = await startApp(t, { defaultAgent: 'helper', agents: { helper } }, { home })
  const socket = await connect()
  await socket.call('sessions.send', { content: 'x', wait: true }, 'web:1:main')
  const [system, ...rest] = got[0]!.messages as { role: string; content: string }[]
  t.same(rest, [{ role: 'user', content: 'x' }])
  t.equal(
    system!.content,
    'Be kind.\n\nUse these skills where they fit what you are asked:\n\n' +
      '<skill name="cook">\nDoes cook.\n\nBoil it.\n</skill>\n\n' +
      `<skill name="swim">\nDoes swim.\n\nIts text is in ${join(home, 'skills/swim/SKILL.md')}.\n</skill>`,
  )
})

t.test('an agent behind HTTP has the skills in what it is sent, and none where there are none', async (t) => {
  const { got, url } = await backend(t, 'application/json', '{"content":"fine"}')
  for (const skills of [FOLDER, {}]) {
    const home = t.testdir({ skills })
    const remote = { type: 'http', url, skillsMaxChars: 100 }
    const { connect, app } = await startApp(t, { defaultAgent: 'remote', agents: { remote } }, { home })
    await (await connect()).call('sessions.send', { content: 'x', wait: true }, 'web:1:main')
    await app.close()
  }
  t.match(got[0]!.skills, [
    { name: 'cook', description: 'Does cook.', body: 'Boil it.' },
    { name: 'swim', description: 'Does swim.', body: null },
  ])
  t.notOk('skills' in got[1]!)
})

t.test('a worker has them in its run', async (t) => {
  const home = t.testdir({ skills: FOLDER })
  const { connect } = await startApp(t, { defaultAgent: 'w', agents: { w: { type: 'worker' } } }, { home })
  const worker = await connect({ caps: ['agent'] })
  await worker.call('worker.register', { agent: 'w', credit: 1 })
  const socket = await connect()
  const sent = socket.call('sessions.send', { content: 'x', wait: true }, 'web:1:main')
  const { payload } = await worker.event('worker.run')
  t.match(payload.skills, [
    { name: 'cook', body: 'Boil it.' },
    { name: 'swim', body: 'x'.repeat(300) },
  ])
  await worker.call('worker.complete', { lease: payload.lease, content: 'fine' })
  t.match(await sent, { outcome: { status: 'completed' } })
})

t.test('an agent that reads files itself is told where they are, when a conversation begins', async (t) => {
  const home = t.testdir({ skills: FOLDER })
  const coder = { type: 'acp', command: process.execPath, args: [ACP_PROGRAM], cwd: home }
  const { connect } = await startApp(t, { defaultAgent: 'coder', agents: { coder } }, { home })
  const socket = await connect()
  const prompts = async (content: string) => {
    const { outcome } = await socket.call('sessions.send', { content, wait: true }, 'web:1:main')
    return JSON.parse(outcome.message.content) as string[]
  }
  const [first] = await prompts('one')
  t.match(first, /<skill name="cook">\nDoes cook\.\n\nIts text is in .*cook\/SKILL\.md\.\n<\/skill>/)
  t.notMatch(first, /Boil it/)
  t.match(first, /\n\none$/)
  t.equal((await prompts('two'))[1], 'two')
})
