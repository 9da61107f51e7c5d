import { Type } from '@sinclair/typebox'
import t from 'tap'
import { parseOptions } from '../../src/config/parse-options.js'
import { ConfigError } from '../../src/config/problems.js'
import { type SecretRule, secretOption } from '../../src/config/secret-option.js'
import type { JsonObject } from '../../src/protocol/index.js'

const RULE = { is: 'the token', pattern: '^[a-z0-9]+$', expected: 'small letters and digits' }

/** What is read, or the problems by path. */
function parse(given: JsonObject, env: NodeJS.ProcessEnv = {}, rule: Partial<SecretRule> = {}) {
  const token = secretOption('token', { ...RULE, ...rule })
  const schema = Type.Object({ ...token.schema, retries: Type.Optional(Type.Integer()) })
  try {
    const options = parseOptions(schema, given, (one) => token.check(one, env))
    return token.read(options, env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return Object.fromEntries(error.problems.map(({ path, message }) => [path, message]))
  }
}

t.test('a secret is given as it is, or by its variable without the line break after it', async (t) => {
  t.equal(parse({ token: 'abc' }), 'abc')
  t.equal(parse({ tokenEnv: 'T' }, { T: 'abc\n' }), 'abc')
  t.equal(parse({ tokenEnv: 'T' }, { T: ' a b ' }, { pattern: '.' }), ' a b ', 'blanks are its own')
  t.equal(parse({}), undefined)
})

t.test('what is missing, doubled or of another form is told without its value', async (t) => {
  t.strictSame(parse({}, {}, { required: true }), {
    tokenEnv: 'expected the environment variable that holds the token, or token; found neither',
  })
  t.strictSame(parse({ token: 'abc', tokenEnv: 'T' }, { T: 'abc' }), {
    token: 'expected nothing beside tokenEnv',
  })
  t.strictSame(parse({ tokenEnv: 'T' }, { T: 'Secret' }), {
    tokenEnv: 'expected a variable that holds small letters and digits (its value is not shown)',
  })
})

t.test('a variable that is not set is named, and no problem of the options', async (t) => {
  const token = secretOption('token', { ...RULE, required: true })
  for (const env of [{}, { T: '' }, { T: ' \n' }]) {
    t.equal(parse({ tokenEnv: 'T' }, env, { required: true }), undefined)
    t.equal(token.unset({ tokenEnv: 'T' }, env), 'T')
  }
  t.equal(token.unset({ tokenEnv: 'T' }, { T: 'abc' }), undefined)
  t.equal(token.unset({ token: 'abc' }, {}), undefined)
})

t.test('a secret in the wrong place is told with every other problem', async (t) => {
  t.strictSame(parse({ token: 'Secret!', tokenEnv: 'whsec_abc', retries: 'many' }), {
    tokenEnv: 'expected the name of an environment variable, found text (not shown)',
    token: 'expected small letters and digits, found text (not shown)',
    retries: 'expected an integer, found "many"',
  })
})
