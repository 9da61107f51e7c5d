import t from 'tap'
import { createHttpAgent } from '../../../src/agents/http.js'
import { ConfigError, type Problem } from '../../../src/config/problems.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { createTestRun } from '../../../src/testing/agent-suite.js'

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`

function problemsOf(options: JsonObject, env: NodeJS.ProcessEnv = {}): readonly Problem[] {
  const given = { url: 'http://127.0.0.1/run', ...options }
  try {
    createHttpAgent(given, { name: 'a', log: createTestRun().context.log, baseDir: '/', env })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('every problem is named at once', async (t) => {
  const problems = problemsOf({ url: 7, idempotent: 'yes', hedaers: {}, stallTimeoutMs: 0 })
  t.strictSame(Object.fromEntries(problems.map(({ path, message }) => [path, message])), {
    hedaers: "unknown option; did you mean 'headers'?",
    url: 'expected an http or https URL such as http://127.0.0.1:8000/run, found 7',
    idempotent: 'expected true or false, found "yes"',
    stallTimeoutMs: 'expected an integer from 1 to 300000 (ms), found 0',
  })
})

t.test('a secret is one of Standard Webhooks and is never shown', async (t) => {
  const wrong = 'whsec_short'
  const cases: [JsonObject, NodeJS.ProcessEnv, string][] = [
    [{ secret: wrong }, {}, 'secret'],
    [{ secret: SECRET.slice(6) }, {}, 'secret'],
    [{ secret: `${SECRET}!` }, {}, 'secret'],
    [{ secretEnv: SECRET }, {}, 'secretEnv'],
    [{ secretEnv: 'S' }, { S: wrong }, 'secretEnv'],
    [{ secretEnv: 'S', secret: SECRET }, {}, 'secret'],
    [{ url: `http://me:${SECRET}@h/` }, {}, 'url'],
    [{ headers: { 'Webhook-Id': SECRET } }, {}, 'headers.Webhook-Id'],
    [{ headers: { a: `${SECRET}\n1` } }, {}, 'headers.a'],
  ]
  for (const [options, env, path] of cases) {
    const problems = problemsOf(options, env)
    t.match(problems, [{ path }])
    t.equal(problems.length, 1, JSON.stringify(problems))
    t.notMatch(JSON.stringify(problems), SECRET.slice(6))
    t.notMatch(JSON.stringify(problems), wrong)
  }
  t.strictSame(problemsOf({ secret: SECRET }), [])
  t.strictSame(problemsOf({ secretEnv: 'S' }, { S: SECRET }), [])
})
