import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '../../src/config/load.js'
import { ConfigError } from '../../src/config/problems.js'
import { load, problemsOf } from './helpers.js'

t.test('each thing that can be wrong with a file has its message and line', async (t) => {
  const cases: [name: string, text: string, source: string, message: RegExp][] = [
    [
      'config.yaml',
      'port: 1\nport: 2\n',
      'config.yaml:2',
      /not valid YAML at column 1: duplicated mapping key/,
    ],
    [
      'config.yaml',
      'lanes:\n  capacity: 1\n   x: 2',
      'config.yaml:3',
      /not valid YAML at column \d+: bad indent/,
    ],
    ['config.yaml', 'a: [1', 'config.yaml:1', /unexpected end of the stream within a flow collection/],
    ['config.yaml', '- a\n- b\n', 'config.yaml', /expected keys and values .*, found a list/],
    ['config.yaml', 'just text', 'config.yaml', /expected keys and values .*, found text/],
    ['config.yaml', 'port: 1\n---\nport: 2', 'config.yaml', /single document/],
    ['config.yaml', 'host: !!js/function x', 'config.yaml:1', /unknown .*tag; text that begins with/],
    ['config.yaml', 'a: \u0000', 'config.yaml', /not valid YAML/],
    ['config.yaml', `x: ${'a'.repeat(1_048_576)}`, 'config.yaml', /larger than 1048576 bytes/],
    ['config.yaml', 'x: &x [*x]', 'config.yaml', /nested deeper than 100 levels/],
    ['config.yaml', `a: ${'['.repeat(200)}${']'.repeat(200)}`, 'config.yaml', /not valid YAML/],
    ['config.yaml', 'agents:\n  a: &a { type: echo }\n  b: { <<: *a }', 'config.yaml:3', /merge keys/],
    ['config.json', '{"port": 1,\n "port": 2}', 'config.json:2', /column 2: the key "port" is there twice/],
    ['config.json', '{"port": 1\n "host": 2}', 'config.json:2', /column 2: expected ',' or '}'/],
    ['config.json', '{"port": }', 'config.json:1', /column 10: expected a value/],
    ['config.json', '{"port": 1', 'config.json:1', /column 11: expected ',' or '}'/],
    ['config.json', '{port: 1}', 'config.json:1', /column 2: expected text in "quotes"/],
    ['config.json', '{"host": "a\n"}', 'config.json:1', /column 10: a text in quotes holds a line break/],
    ['config.json', '{"host": "a', 'config.json:1', /column 10: a text in quotes has no end/],
    ['config.json', '{} {}', 'config.json:1', /column 4: expected the end of the text/],
    ['config.json', '[]', 'config.json', /found a list/],
    ['config.json', '['.repeat(100_000), 'config.json:1', /nested deeper than 100 levels/],
  ]
  for (const [name, text, source, message] of cases) {
    const problems = await problemsOf(t, { files: { [name]: text } })
    t.match(problems, [{ source, message }], JSON.stringify(text.slice(0, 40)))
    t.equal(problems.length, 1)
  }
})

t.test('a text of aliases that stands for a huge tree is refused quickly', async (t) => {
  const levels = ['a: &a0 [x, x, x, x, x, x, x, x, x]']
  for (let level = 1; level < 10; level++) {
    levels.push(
      `a${level}: &a${level} [${Array(9)
        .fill(`*a${level - 1}`)
        .join(', ')}]`,
    )
  }
  t.match(await problemsOf(t, { files: { 'config.yaml': levels.join('\n') } }), [
    { message: 'the configuration file: holds more than 100000 values' },
  ])
})

t.test('keys that could reach a prototype are refused or are plain data', async (t) => {
  for (const [name, text] of [
    ['config.yaml', '__proto__: { port: 1 }'],
    ['config.yaml', 'lanes: { __proto__: { capacity: 1 } }'],
    ['config.yaml', 'agents: { a: { type: echo, deep: [{ __proto__: { polluted: true } }] } }'],
    ['config.json', '{"__proto__": {"port": 1}}'],
    ['config.json', '{"agents": {"__proto__": {"type": "echo"}}}'],
  ] as const) {
    t.match(
      await problemsOf(t, { files: { [name]: text } }),
      [{ message: /'__proto__' is not allowed/ }],
      text,
    )
  }
  const env = { LURKBOT_GATEWAY__LANES: '{"__proto__":{"capacity":1}}' }
  t.match(await problemsOf(t, { env }), [{ path: 'lanes', message: /'__proto__' is not allowed/ }])
  t.match(
    await problemsOf(t, { files: { 'config.yaml': 'constructor: { prototype: { polluted: true } }' } }),
    [{ path: 'constructor', message: 'unknown key' }],
  )
  t.equal(({} as { polluted?: boolean }).polluted, undefined)
  const { config } = await load(t, { files: { 'config.yaml': 'agents: { constructor: { type: echo } }' } })
  t.ok(Object.hasOwn(config.agents, 'constructor'))
})

t.test('a file that is broken does not hide what is wrong elsewhere, and causes no follow-ups', async (t) => {
  const problems = await problemsOf(t, {
    files: { 'config.yaml': 'agents: [' },
    env: { LURKBOT_GATEWAY__DEFAULT_AGENT: 'helper', LURKBOT_GATEWAY__PORT: 'x' },
  })
  t.match(
    problems.map(({ path }) => path),
    ['', 'port'],
  )
})

t.test('two files at once, folders and missing files are problems', async (t) => {
  t.match(await problemsOf(t, { files: { 'config.yaml': '', 'config.json': '{}' } }), [
    {
      message:
        'expected one configuration file, found config.yaml and config.json; remove or rename all but one',
    },
  ])
  const dir = t.testdir({
    home: { 'config.yaml': {} },
    file: 'x',
    dangling: { 'config.yaml': t.fixture('symlink', 'nowhere') },
    latin: { 'config.yaml': '' },
  })
  const message = async (options: { home?: string; configPath?: string }): Promise<string> => {
    try {
      await loadConfig({ env: {}, cwd: dir, home: join(dir, 'none'), ...options })
    } catch (error) {
      if (error instanceof ConfigError) return error.message
      throw error
    }
    return 'loaded'
  }
  t.match(await message({ home: join(dir, 'home') }), /is a folder; expected a file/)
  t.match(await message({ home: join(dir, 'file') }), /the state folder is not inside a folder/)
  t.match(await message({ home: join(dir, 'dangling') }), /does not exist/)
  t.match(await message({ configPath: 'missing.yaml' }), /the configuration file does not exist/)
  t.match(await message({ configPath: '.' }), /is a folder/)
})

t.test('a file that is not UTF-8 is refused', async (t) => {
  const { writeFile } = await import('node:fs/promises')
  const dir = t.testdir({})
  await writeFile(join(dir, 'config.yaml'), Buffer.from([0x68, 0x3a, 0x20, 0xff, 0xfe]))
  await t.rejects(loadConfig({ env: {}, home: dir }), { message: /not UTF-8 text/ })
})
