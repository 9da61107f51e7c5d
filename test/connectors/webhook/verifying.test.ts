import { createHmac } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import { createWebhookConnector } from '../../../src/connectors/webhook/webhook.js'
import type { JsonObject } from '../../../src/protocol/index.js'
import { connectorContext } from '../../helpers/connector-host.js'
import { OTHER_SECRET, post, SECRET, serve } from './served.js'

const BODY = JSON.stringify({ peer: 'alice', text: 'héllo' })

function signed(secret: string, { body = BODY, id = 'msg_1', at = new Date() } = {}) {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  }
}

const minutesAway = (minutes: number) => new Date(Date.now() + minutes * 60_000)

t.test('takes what is signed by Standard Webhooks, under the id that was signed', async (t) => {
  const { host, url } = await serve(t, { secretEnv: 'HOOK' }, { HOOK: SECRET })
  const { status, answer } = await post(url, BODY, signed(SECRET))
  t.equal(status, 202)
  t.strictSame(answer, { eventId: 'evt_msg_1', runId: 'run_msg_1', duplicate: false })
  t.match(host.received, [
    { id: 'msg_1', peer: 'alice', thread: null, sender: { id: 'alice' }, text: 'héllo', group: false },
  ])
  t.ok(Math.abs(host.received[0]!.at! - Date.now()) < 60_000)
})

t.test('takes any of several secrets while one is replaced', async (t) => {
  const { url } = await serve(t, { secretEnv: 'HOOK' }, { HOOK: `${SECRET} ${OTHER_SECRET}` })
  t.equal((await post(url, BODY, signed(SECRET))).status, 202)
  t.equal((await post(url, BODY, signed(OTHER_SECRET))).status, 202)
  const both = signed(SECRET)
  const old = new Webhook('whsec_AAAA').sign('msg_1', new Date(), BODY)
  both['webhook-signature'] = `${old} ${both['webhook-signature']}`
  t.equal((await post(url, BODY, both)).status, 202, 'and any of several signatures')
})

t.test('refuses what is not signed right, saying what is wrong but no secret', async (t) => {
  const { host, url } = await serve(t, { secrets: [SECRET] })
  const cases: [string, string, Record<string, string>, RegExp][] = [
    ['another secret', BODY, signed(OTHER_SECRET), /signature in webhook-signature does not match/],
    ['another body', BODY.replace('alice', 'bob'), signed(SECRET), /does not match/],
    ['another id', BODY, { ...signed(SECRET), 'webhook-id': 'msg_2' }, /does not match/],
    ['nothing', BODY, {}, /header webhook-id is missing/],
    ['no scheme', BODY, { ...signed(SECRET), 'webhook-signature': 'abc' }, /does not match/],
    ['an old request', BODY, signed(SECRET, { at: minutesAway(-6) }), /more than 300 s/],
    ['one from the future', BODY, signed(SECRET, { at: minutesAway(6) }), /more than 300 s/],
    ['no time', BODY, { ...signed(SECRET), 'webhook-timestamp': 'now' }, /does not match/],
  ]
  for (const [what, body, headers, message] of cases) {
    const { status, answer } = await post(url, body, headers)
    t.equal(status, 401, what)
    t.match(answer, { error: { code: 'UNAUTHORIZED', message, details: null, retryable: false } }, what)
    t.notMatch(JSON.stringify(answer), SECRET.slice(6), what)
  }
  t.strictSame(host.received, [])
})

t.test('takes a signature as GitHub makes it', async (t) => {
  const { host, url } = await serve(t, { verify: 'hmac', secrets: ['new', 'old'] })
  const sign = (secret: string) => `sha256=${createHmac('sha256', secret).update(BODY).digest('hex')}`
  t.equal((await post(url, BODY, { 'x-hub-signature-256': sign('old') })).status, 202)
  const upper = sign('new').toUpperCase().replace('SHA256', 'sha256')
  t.equal((await post(url, BODY, { 'x-hub-signature-256': upper })).status, 202)
  t.equal(host.received[0]!.id, host.received[1]!.id, 'the same content is the same message')
  t.equal((await post(url, BODY, { 'x-hub-signature-256': sign('other') })).status, 401)
  t.equal((await post(url, BODY, { 'x-hub-signature-256': sign('new').slice(7) })).status, 401)
  t.equal((await post(url, BODY)).status, 401)
})

t.test('takes a signature over time and body as Slack makes it, within its window', async (t) => {
  const hmac = {
    header: 'x-slack-signature',
    prefix: 'v0=',
    timestampHeader: 'x-slack-request-timestamp',
    signed: 'v0:{{timestamp}}:{{body}}',
    toleranceS: 60,
  }
  const { host, url } = await serve(t, { verify: 'hmac', secrets: ['s'], hmac })
  const send = (seconds: number, body = BODY) => {
    const timestamp = String(Math.floor(Date.now() / 1000) + seconds)
    const signature = createHmac('sha256', 's').update(`v0:${timestamp}:${body}`).digest('hex')
    return post(url, body, { 'x-slack-request-timestamp': timestamp, 'x-slack-signature': `v0=${signature}` })
  }
  t.equal((await send(0)).status, 202)
  t.equal((await send(-10)).status, 202)
  t.not(host.received[0]!.id, host.received[1]!.id, 'the same content at another time is another message')
  t.match((await send(-90)).answer, { error: { code: 'UNAUTHORIZED', message: /more than 60 s/ } })
  t.equal((await send(90)).status, 401)
})

t.test('verifies the bytes as they came, also when they are no text', async (t) => {
  const { url } = await serve(t, { verify: 'hmac', secrets: ['s'], peer: 'bytes' })
  const body = Buffer.from([0x22, 0xff, 0xfe, 0xc3, 0x28, 0x22])
  const signature = createHmac('sha256', 's').update(body).digest('hex')
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', 'x-hub-signature-256': `sha256=${signature}` },
  })
  t.equal(response.status, 202)
})

t.test('takes a token, and tells two equal requests apart', async (t) => {
  const { host, url } = await serve(t, { verify: 'token', secretEnv: 'HOOK' }, { HOOK: 'one two' })
  for (const token of ['one', 'two', 'two']) {
    t.equal((await post(url, BODY, { authorization: `Bearer ${token}` })).status, 202)
  }
  t.equal(new Set(host.received.map(({ id }) => id)).size, 3)
  for (const authorization of ['Bearer three', 'one', 'Bearer ', 'Bearer one two']) {
    t.equal((await post(url, BODY, { authorization })).status, 401, authorization)
  }
})

t.test('takes anything only where it is told so, and then trusts nobody', async (t) => {
  const { host, url } = await serve(t, { verify: 'none' })
  t.equal((await post(url, BODY)).status, 202)
  t.equal(host.connector.capabilities.trusted, false)
  const signed = await createWebhookConnector({ secrets: [SECRET] }, connectorContext())
  t.equal(signed.capabilities.trusted, true)
})

t.test('names the variable that is to hold a secret and does not', async (t) => {
  const unset = async (options: JsonObject, env: NodeJS.ProcessEnv = {}) =>
    (await createWebhookConnector(options, connectorContext({ env }))).unset
  t.equal(await unset({ secretEnv: 'HOOK' }), 'HOOK')
  t.equal(await unset({ secretEnv: 'HOOK' }, { HOOK: SECRET }), undefined)
  t.equal(await unset({ secrets: [SECRET], signingSecretEnv: 'SIGN' }), 'SIGN')
  t.equal(await unset({ verify: 'none' }), undefined)
})

t.test('says what is wrong with its options, without showing a secret', async (t) => {
  const cases: [object, RegExp][] = [
    [{}, /^secretEnv: expected the variable of the secret/],
    [{ secrets: ['not base64!'] }, /^secrets: expected whsec_ and base64/],
    [{ secretEnv: 'BAD' }, /^secretEnv: expected whsec_ and base64/],
    [
      { secretEnv: 'my secret' },
      /^secretEnv: expected the name of an environment variable, found text \(not shown\)/,
    ],
    [{ secretEnv: 'HOOK', secrets: [SECRET] }, /^secrets: expected nothing beside secretEnv/],
    [{ verify: 'md5' }, /^verify: expected one of standard-webhooks, hmac, token, none/],
    [{ verify: 'none', peer: '{{payload.a' }, /^peer: expected each \{\{ to be closed/],
    [{ verify: 'none', peer: '{{body.a}}' }, /^peer: expected a path that begins as \{\{payload\}\}/],
    [{ verify: 'none', text: '{{payload..a}}' }, /^text: expected a name on each side of a dot/],
    [{ verify: 'none', url: 'ftp://x/' }, /^url: expected an http or https URL/],
    [{ verify: 'none', url: 'https://{{peer}}.example.com/' }, /^url: expected \{\{…\}\} in the path/],
    [{ verify: 'none', url: 'https://u:p@example.com/' }, /^url: expected no credentials/],
    [
      { verify: 'token', secrets: ['x'], url: 'https://example.com/' },
      /^signingSecretEnv: expected the variable/,
    ],
    [{ verify: 'hmac', secrets: ['x'], hmac: { signed: 'x' } }, /^hmac.signed: expected \{\{body\}\}/],
    [
      { verify: 'hmac', secrets: ['x'], hmac: { timestampHeader: 't', signed: '{{body}}' } },
      /expected \{\{timestamp\}\}/,
    ],
    [{ verify: 'none', sekret: 1 }, /^sekret: unknown option/],
  ]
  for (const [options, message] of cases) {
    const context = connectorContext({ env: { HOOK: SECRET, BAD: 'not base64!' } })
    await t.rejects(createWebhookConnector({ ...options }, context), { message }, String(message))
  }
})
