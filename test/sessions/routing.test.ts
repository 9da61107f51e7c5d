import t from 'tap'
import type { SessionRecord } from '../../src/journal/journal.js'
import { Router } from '../../src/sessions/routing.js'
import { newSessionRecord } from '../../src/sessions/sessions.js'

const router = new Router({
  lanes: { queueMode: 'followup' },
  defaultAgent: 'fallback',
  routing: [
    { channel: 'telegram', sessionKey: '*:vip', agent: 'vip' },
    { channel: 'telegram', queueMode: 'collect' },
    { channel: 'telegram', agent: 'telegram' },
    { sessionKey: 'web:*', agent: 'web', queueMode: 'steer' },
    { sessionKey: 'web:1', agent: 'never' },
    { channel: 'irc', mention: 'Ops', agent: 'ops' },
    { channel: 'irc', agent: 'irc' },
  ],
})

const route = (sessionKey: string, record?: SessionRecord | null, content?: unknown) =>
  router.agent({ sessionKey, source: 'ws', payload: { content } }, record)

t.test('the first rule whose channel and key both match decides, else the default', async (t) => {
  t.equal(route('telegram:1:vip', null), 'vip')
  t.equal(route('telegram:1:main', null), 'telegram')
  t.equal(route('xmpp:1:vip', null), 'fallback')
  t.equal(route('web:1', undefined), 'web')
  t.equal(route('web', null), 'fallback', 'a key without a colon is its own channel')
  t.equal(route('telegram', null), 'telegram')
  t.equal(route('telegramx:1', null), 'fallback')
})

t.test('the own setting of a session comes first', async (t) => {
  t.equal(route('telegram:1:vip', newSessionRecord('telegram:1:vip', 0, { agent: 'own' })), 'own')
  t.equal(route('telegram:1:vip', newSessionRecord('telegram:1:vip', 0)), 'vip')
})

t.test('a rule with a mention is for messages that say @ and the name, as a word', async (t) => {
  for (const content of ['@ops help', 'help, @OPS!', '(@Ops)', 'ask @ops.', '@ops']) {
    t.equal(route('irc:1', null, content), 'ops', content)
  }
  for (const content of ['ops', '@opsy', '@ops-team', '@ops_', 'me@ops.example', '@öops', undefined, 5, {}]) {
    t.equal(route('irc:1', null, content), 'irc', String(content))
  }
  t.equal(route('xmpp:1', null, '@ops'), 'fallback', 'and only where the rest of the rule matches')
  t.equal(route('irc:1', newSessionRecord('irc:1', 0, { agent: 'own' }), '@ops'), 'own')
})

t.test('the queue mode is decided by itself, by the first rule that names one', async (t) => {
  t.equal(router.queueMode('telegram:1:vip', null), 'collect')
  t.equal(router.queueMode('web:1', null), 'steer')
  t.equal(router.queueMode('irc:1', null), 'followup')
  t.equal(router.queueMode('web:1', newSessionRecord('web:1', 0, { queueMode: 'interrupt' })), 'interrupt')
  t.equal(router.queueMode('web:1', newSessionRecord('web:1', 0)), 'steer')
})

t.test('the agent that a scheduled job asks for comes before all, and nobody else can ask so', async (t) => {
  const payload = { content: 'x', cron: { jobId: 'job_1', name: null, dueAt: 0, agent: 'asked' } }
  const own = newSessionRecord('web:1', 0, { agent: 'own' })
  t.equal(router.agent({ sessionKey: 'web:1', source: 'cron', payload }, own), 'asked')
  t.equal(router.agent({ sessionKey: 'web:1', source: 'ws', payload }, own), 'own')
})

t.test('a session whose own agent is gone follows the rules; other rules hold at once', async (t) => {
  const changing = new Router(
    { lanes: { queueMode: 'followup' }, defaultAgent: 'old', routing: [] },
    (name) => name !== 'gone',
  )
  const agent = (own: string) =>
    changing.agent(
      { sessionKey: 'web:1', source: 'ws', payload: {} },
      newSessionRecord('web:1', 0, { agent: own }),
    )
  t.equal(agent('gone'), 'old')
  t.equal(agent('there'), 'there')
  changing.update({ lanes: { queueMode: 'steer' }, defaultAgent: 'new', routing: [] })
  t.equal(agent('gone'), 'new')
  t.equal(changing.queueMode('web:1', null), 'steer')
})
