import t from 'tap'
import { completionsUrl } from '../../../src/agents/openai/options.js'
import { createOpenAiAgent } from '../../../src/agents/openai.js'
import { ConfigError, type Problem } from '../../../src/config/problems.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { createTestRun } from '../../../src/testing/agent-suite.js'

function problemsOf(options: JsonObject, env: NodeJS.ProcessEnv = {}): readonly Problem[] {
  const given = { baseUrl: 'http://127.0.0.1/v1', model: 'm', ...options }
  try {
    createOpenAiAgent(given, { name: 'a', log: createTestRun().context.log, baseDir: '/', env })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('every problem is named at once', async (t) => {
  const problems = problemsOf({
    baseUrl: 7,
    model: '',
    modell: 'm',
    temperature: 3,
    maxTokens: 0,
    stallTimeoutMs: 'long',
    headers: { a: 1 },
  })
  const byPath = Object.fromEntries(problems.map(({ path, message }) => [path, message]))
  t.strictSame(byPath, {
    modell: "unknown option; did you mean 'model'?",
    baseUrl: 'expected an http or https URL such as http://127.0.0.1:11434/v1, found 7',
    model: 'expected text that is not empty, found ""',
    'headers.a': 'expected text, found 1',
    temperature: 'expected a number from 0 to 2, found 3',
    maxTokens: 'expected an integer of at least 1, found 0',
    stallTimeoutMs: 'expected an integer from 1 to 300000 (ms), found "long"',
  })
})

t.test('the base URL is one of http without credentials', async (t) => {
  for (const baseUrl of ['127.0.0.1:80/v1', 'ftp://host/v1', '/v1', '']) {
    t.match(problemsOf({ baseUrl }), [{ path: 'baseUrl', message: /expected an http or https URL/ }], baseUrl)
  }
  const [problem] = problemsOf({ baseUrl: 'http://me:pass@host/v1' })
  t.match(problem, { path: 'baseUrl', message: /expected no credentials/ })
  t.notMatch(problem?.message, /pass@|me:/)
})

t.test('the key is never shown, whichever option it is put in by mistake', async (t) => {
  const key = 'sk-0123456789'
  const cases: [JsonObject, NodeJS.ProcessEnv, string][] = [
    [{ apiKey: `${key} ` }, {}, 'apiKey'],
    [{ apiKeyEnv: key }, {}, 'apiKeyEnv'],
    [{ apiKeyEnv: 'K' }, { K: `${key}\u00e9` }, 'apiKeyEnv'],
    [{ apiKeyEnv: 'K', apiKey: key }, {}, 'apiKey'],
    [{ headers: { 'x-key': `${key}\n1` } }, {}, 'headers.x-key'],
    [{ headers: { 'x key': key } }, {}, 'headers["x key"]'],
    [{ headers: { 'Content-Length': key } }, {}, 'headers.Content-Length'],
  ]
  for (const [options, env, path] of cases) {
    const problems = problemsOf(options, env)
    t.match(problems, [{ path }])
    t.equal(problems.length, 1)
    t.notMatch(JSON.stringify(problems), key)
  }
})

t.test('the frozen options of a loaded configuration are fine', async (t) => {
  t.strictSame(problemsOf(Object.freeze({ headers: Object.freeze({ a: 'b' }) })), [])
})

t.test('the address keeps the query of the base URL', async (t) => {
  t.equal(completionsUrl('http://h/v1').href, 'http://h/v1/chat/completions')
  t.equal(completionsUrl('http://h/v1//').href, 'http://h/v1/chat/completions')
  t.equal(completionsUrl('http://h').href, 'http://h/chat/completions')
  t.equal(completionsUrl('https://h/d?api-version=1').href, 'https://h/d/chat/completions?api-version=1')
})
