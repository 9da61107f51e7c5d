import t from 'tap'
import { redactConfig } from '../../src/config/redact.js'
import { load } from './helpers.js'

t.test('no secret is left in the copy, everything else is, and the original is as it was', async (t) => {
  const { config } = await load(t, {
    files: {
      'config.json': JSON.stringify({
        auth: { tokens: ['s3cret-1', { name: 'ci', token: 's3cret-2', scopes: ['read'] }] },
        tls: { key: './key.pem' },
        agents: {
          helper: {
            type: 'openai',
            baseUrl: 'http://me:s3cret-3@127.0.0.1/v1',
            apiKey: 's3cret-4',
            apiKeyEnv: 'OPENAI_API_KEY',
            maxTokens: 100,
            headers: { Authorization: 'Bearer s3cret-5', Accept: 'text/plain' },
          },
        },
        connectors: {
          tg: {
            type: 'telegram',
            token: 's3cret-6',
            env: { ANY: 's3cret-9' },
            nested: [{ secrets: ['s3cret-7'] }],
          },
        },
        plugins: [{ module: './x.mjs', options: { password: { value: 's3cret-8' }, name: 'x' } }],
      }),
    },
  })
  const copy = redactConfig(config)
  t.notMatch(JSON.stringify(copy), /s3cret/)
  t.match(copy, {
    auth: { tokens: ['[redacted]', { name: 'ci', token: '[redacted]', scopes: ['read'] }] },
    tls: { key: './key.pem' },
    agents: {
      helper: {
        baseUrl: 'http://[redacted]@127.0.0.1/v1',
        apiKey: '[redacted]',
        apiKeyEnv: 'OPENAI_API_KEY',
        maxTokens: 100,
        headers: { Authorization: '[redacted]', Accept: '[redacted]' },
      },
    },
    connectors: { tg: { type: 'telegram', token: '[redacted]', nested: [{ secrets: ['[redacted]'] }] } },
    plugins: [{ options: { password: { value: '[redacted]' }, name: 'x' } }],
    lanes: { capacity: 100 },
  })
  t.equal(config.auth.tokens[0], 's3cret-1')
})
