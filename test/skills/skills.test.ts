import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { captureLog } from '../helpers/log.js'
import { startScripted } from '../helpers/scripted-agent.js'
import { until } from '../helpers/until.js'

const KEY = 'web:1:main'

const skill = (name: string, body = `How to ${name}.`, head = '') => ({
  'SKILL.md': `---\nname: ${name}\ndescription: Does ${name}.\n${head}---\n\n${body}\n`,
})

interface Listed {
  name: string
  source: string
  ready: boolean
}

const own = (skills: Listed[]) => skills.filter(({ source }) => source !== 'builtin')
const names = (skills: Listed[]) => own(skills).map(({ name }) => name)

t.test('skills are found in all folders; of the same name that of the last folder wins', async (t) => {
  const home = t.testdir({
    skills: {
      cook: skill('cook', 'At home.'),
      swim: skill('swim'),
      '.hidden': skill('hidden'),
      loose: 'a file',
    },
    work: { cook: skill('cook', 'At work.'), empty: {} },
    later: { kitchen: skill('cook', 'Later.') },
  })
  const { connect } = await startScripted(t, { skills: { folders: ['work', 'later'] } }, { home })
  const socket = await connect()
  const { skills, problems } = await socket.call('skills.list')
  t.same(problems, [])
  const missing = { bins: [], env: [], os: [] }
  t.strictSame(own(skills), [
    {
      name: 'cook',
      description: 'Does cook.',
      source: 'workspace',
      path: join(home, 'later/kitchen/SKILL.md'),
      ready: true,
      missing,
      hides: [
        { source: 'workspace', path: join(home, 'work/cook/SKILL.md') },
        { source: 'user', path: join(home, 'skills/cook/SKILL.md') },
      ],
    },
    {
      name: 'swim',
      description: 'Does swim.',
      source: 'user',
      path: join(home, 'skills/swim/SKILL.md'),
      ready: true,
      missing,
      hides: [],
    },
  ])
  t.match(await socket.call('skills.get', { name: 'cook' }), {
    skill: { source: 'workspace' },
    body: 'Later.',
  })
  t.match(await socket.refused('skills.get', { name: 'fly' }), { code: 'NOT_FOUND' })
  const builtIn = skills.filter(({ source }: Listed) => source === 'builtin')
  t.match(builtIn, [{ name: 'lurkbot-cli' }], 'the one that comes with the gateway')
})

t.test('a skill that cannot be used is left out, with file, line and reason', async (t) => {
  const home = t.testdir({
    skills: {
      a: { 'SKILL.md': '# no front matter\n' },
      b: { 'SKILL.md': '---\nname: Not Good\ndescription: x\n---\n' },
      c: { 'SKILL.md': '---\nname: c\n# a comment\nrequires:\n  bins: git\n  binaries: [x]\n---\n' },
      d: { 'SKILL.md': '---\nname: [\n---\n' },
      e: skill('e', 'x'.repeat(5_000)),
      f: skill('good'),
      g: skill('good'),
      h: { 'SKILL.md': {} },
      i: { 'SKILL.md': Buffer.from([0x2d, 0xff, 0xfe]) },
      j: skill('one-too-many'),
      k: skill('two-too-many'),
    },
  })
  const { logger, lines } = captureLog()
  const { connect } = await startScripted(t, { skills: { maxBytes: 4_096, maxSkills: 3 } }, { home, logger })
  const { skills, problems } = await (await connect()).call('skills.list')
  t.same(names(skills), ['good', 'one-too-many'], 'the one of the gateway counts as well')
  const file = (name: string) => join(home, 'skills', name, 'SKILL.md')
  t.match(problems, [
    { source: file('a'), message: /^expected YAML between two lines of ---/ },
    {
      path: 'name',
      source: `${file('b')}:2`,
      message: /^expected a name of small letters.* found "Not Good"/,
    },
    { path: 'description', source: file('c'), message: /^expected text .* found nothing/ },
    { path: 'requires.binaries', source: `${file('c')}:6`, message: /^unknown key; / },
    { path: 'requires.bins', source: `${file('c')}:5`, message: 'expected a list of programs, found "git"' },
    { source: new RegExp(`^${file('d')}:\\d`), message: /^not valid YAML/ },
    { source: file('e'), message: 'expected a file of at most 4096 bytes' },
    { path: 'name', source: file('g'), message: `expected a name of its own, found that of ${file('f')}` },
    { source: file('h'), message: /^expected a file|EISDIR/ },
    { source: file('i'), message: 'expected UTF-8 text' },
    { source: file('k'), message: /^expected at most 3 skills/ },
  ])
  t.equal(problems.length, 11)
  t.ok(lines.some(({ msg }) => msg === 'skills left out'))
})

t.test('a skill whose requirements are not met is listed with what is missing, and not given', async (t) => {
  const home = t.testdir({
    bin: { 'test-program': '#!/bin/sh\n', 'no-program': 'x' },
    skills: {
      a: skill(
        'all-there',
        '',
        'requires: { bins: [test-program], env: [TEST_SKILL_ENV], os: [linux, darwin, win32] }\n',
      ),
      b: skill(
        'lacks',
        '',
        'requires: { bins: [no-program, ../bin/test-program], env: [TEST_NOT_SET], os: [plan9] }\n',
      ),
    },
  })
  await chmod(join(home, 'bin/test-program'), 0o755)
  const { PATH } = process.env
  process.env.PATH = `${join(home, 'bin')}:${PATH}`
  process.env.TEST_SKILL_ENV = '1'
  t.teardown(() => {
    process.env.PATH = PATH
    delete process.env.TEST_SKILL_ENV
  })
  const { connect, agent } = await startScripted(t, {}, { home, onRun: (run) => run.reply() })
  const socket = await connect()
  const { skills } = await socket.call('skills.list')
  t.match(own(skills), [
    { name: 'all-there', ready: true },
    {
      name: 'lacks',
      ready: false,
      missing: { bins: ['no-program', '../bin/test-program'], env: ['TEST_NOT_SET'], os: ['plan9'] },
    },
  ])
  await socket.call('sessions.send', { content: 'x', wait: true }, KEY)
  t.same(
    agent.runs[0]!.context.skills.map(({ name }) => name),
    ['all-there'],
  )
})

t.test('skills come, change and go while the gateway runs, and whoever watches hears of it', async (t) => {
  const home = t.testdir({ work: { one: skill('one') } })
  const { connect, agent } = await startScripted(
    t,
    { skills: { folders: ['work'] } },
    { home, onRun: (run) => run.reply() },
  )
  const socket = await connect()
  const changed = (fits: (payload: Record<string, string[]>) => boolean) =>
    socket.event('skills.changed', ({ payload }) => fits(payload))
  await mkdir(join(home, 'work/two'))
  await writeFile(join(home, 'work/two/SKILL.md'), skill('two')['SKILL.md'])
  t.match(await changed(({ added }) => added!.includes('two')), {
    sessionKey: null,
    payload: { removed: [] },
  })
  await writeFile(join(home, 'work/one/SKILL.md'), skill('one', 'Anew.')['SKILL.md'])
  await changed((payload) => payload.changed!.includes('one'))
  t.match(await socket.call('skills.get', { name: 'one' }), { body: 'Anew.' })
  await rm(join(home, 'work/two'), { recursive: true })
  await changed(({ removed }) => removed!.includes('two'))
  // The user's folder was not there at the start.
  await mkdir(join(home, 'skills/three'), { recursive: true })
  await writeFile(join(home, 'skills/three/SKILL.md'), skill('three')['SKILL.md'])
  await changed(({ added }) => added!.includes('three'))
  t.same(names((await socket.call('skills.list')).skills), ['one', 'three'])
  await writeFile(join(home, 'work/one/SKILL.md'), '---\nname: one\n---\n')
  await changed(({ removed }) => removed!.includes('one'))
  await until(async () => (await socket.call('skills.list')).problems.length === 1)
  await socket.call('sessions.send', { content: 'x', wait: true }, KEY)
  t.match(agent.runs[0]!.context.skills, [{ name: 'three', body: 'How to three.' }])
})
