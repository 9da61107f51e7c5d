import pino from 'pino'
import t, { type Test } from 'tap'
import { Identities } from '../../src/auth/identities.js'
import { IssuedTokens } from '../../src/auth/issued-tokens.js'
import { ANONYMOUS } from '../../src/auth/principal.js'
import { openJournal } from '../../src/journal/index.js'
import { testConfig } from '../helpers/app.js'

const DAY = 86_400_000
const RIGHTS = { role: 'viewer', scopes: ['read' as const], sessions: null }

/** A store over a real journal, with a clock that the test sets. */
async function start(t: Test) {
  const log = pino({ level: 'silent' })
  const journal = await openJournal({ ...testConfig().journal, path: '', log })
  t.teardown(() => journal.close())
  const clock = { now: 1_700_000_000_000 }
  const ended: string[] = []
  const load = async () => {
    const identities = await Identities.create({
      tokens: ['configured-token'],
      isRequired: () => true,
      autoToken: async () => 'auto',
    })
    identities.onEnded((principals, reason) => {
      for (const { name } of principals) ended.push(`${name} ${reason}`)
    })
    const options = { documents: journal, identities, maxTokens: 10, log, now: () => clock.now }
    const tokens = new IssuedTokens(options)
    t.teardown(() => tokens.close())
    await tokens.load()
    return { tokens, identities }
  }
  return { journal, clock, ended, load, ...(await load()) }
}

t.test('a token is good until it expires, by the clock, before any timer has told', async (t) => {
  const { tokens, clock } = await start(t)
  const { secret } = await tokens.issue('ci', RIGHTS, ANONYMOUS, DAY)
  clock.now += DAY - 1
  t.match(tokens.authenticate(secret), { name: 'ci', role: 'viewer' })
  clock.now += 1
  t.equal(tokens.authenticate(secret), null)
})

t.test('both secrets are good during the overlap, and each is a principal of its own', async (t) => {
  const { tokens, clock, ended, load } = await start(t)
  const first = await tokens.issue('ci', RIGHTS, ANONYMOUS, null)
  const before = tokens.authenticate(first.secret)
  const second = await tokens.rotate({ name: 'ci' }, DAY, ANONYMOUS)
  t.equal(tokens.authenticate(first.secret), before, 'its connections stay')
  t.not(tokens.authenticate(second.secret), before)
  t.strictSame(ended, [])
  const { tokens: restarted } = await load()
  t.ok(restarted.authenticate(first.secret) && restarted.authenticate(second.secret))
  clock.now += DAY
  t.equal(tokens.authenticate(first.secret), null)
  t.ok(tokens.authenticate(second.secret))
  const { tokens: later } = await load()
  t.equal(later.authenticate(first.secret), null)
  t.ok(later.authenticate(second.secret))
})

t.test('when a token was used last is written once in an hour, and never brings one back', async (t) => {
  const { tokens, clock, journal } = await start(t)
  const { secret, token } = await tokens.issue('ci', RIGHTS, ANONYMOUS, null)
  const before = journal.stats.commits
  for (let i = 0; i < 50; i++) tokens.authenticate(secret)
  clock.now += 3_599_999
  for (let i = 0; i < 50; i++) tokens.authenticate(secret)
  clock.now += 1
  t.ok(tokens.authenticate(secret))
  t.ok(tokens.authenticate(secret))
  await tokens.revoke({ tokenId: token.tokenId! }, ANONYMOUS)
  t.ok(journal.stats.commits - before <= 3, `${journal.stats.commits - before} commits`)
  t.strictSame(await journal.documents({ kind: 'token', limit: 10 }), [])
  t.equal(tokens.authenticate(secret), null)
})

t.test('a token that could not be written does not exist', async (t) => {
  const { tokens, journal } = await start(t)
  const save = journal.saveDocuments.bind(journal)
  journal.saveDocuments = async () => {
    throw new Error('the disk is full')
  }
  await t.rejects(tokens.issue('ci', RIGHTS, ANONYMOUS, null), /disk is full/)
  t.equal(tokens.size, 0)
  journal.saveDocuments = save
  const { secret } = await tokens.issue('ci', RIGHTS, ANONYMOUS, null)
  journal.removeDocument = async () => {
    throw new Error('the disk is full')
  }
  await t.rejects(tokens.revoke({ name: 'ci' }, ANONYMOUS), /disk is full/)
  t.ok(tokens.authenticate(secret), 'nor is it gone before that is on disk')
})

t.test('who comes with a secret of nobody is nobody', async (t) => {
  const { tokens, identities } = await start(t)
  identities.addSource(tokens)
  const { secret } = await tokens.issue('ci', RIGHTS, ANONYMOUS, null)
  for (const wrong of ['', 'lbt_', `${secret}x`, secret.slice(0, -1), secret.toUpperCase()]) {
    t.equal(identities.authenticate(wrong), null, wrong)
  }
  t.match(identities.authenticate(secret), { name: 'ci' })
  t.match(identities.authenticate('configured-token'), { name: 'tokens[0]' })
})
