import t from 'tap'
import { createRouter } from '../../src/sessions/routing.js'
import { newSessionRecord } from '../../src/sessions/sessions.js'

const route = createRouter({
  defaultAgent: 'fallback',
  routing: [
    { channel: 'telegram', sessionKey: '*:vip', agent: 'vip' },
    { channel: 'telegram', agent: 'telegram' },
    { sessionKey: 'web:*', agent: 'web' },
    { sessionKey: 'web:1', agent: 'never' },
  ],
})

t.test('the first rule whose channel and key both match decides, else the default', async (t) => {
  t.equal(route('telegram:1:vip', null), 'vip')
  t.equal(route('telegram:1:main', null), 'telegram')
  t.equal(route('irc:1:vip', null), 'fallback')
  t.equal(route('web:1', undefined), 'web')
  t.equal(route('web', null), 'fallback', 'a key without a colon is its own channel')
  t.equal(route('telegram', null), 'telegram')
  t.equal(route('telegramx:1', null), 'fallback')
})

t.test('the own setting of a session comes first', async (t) => {
  t.equal(route('telegram:1:vip', newSessionRecord('telegram:1:vip', 0, { agent: 'own' })), 'own')
  t.equal(route('telegram:1:vip', newSessionRecord('telegram:1:vip', 0)), 'vip')
})
