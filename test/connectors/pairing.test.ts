import t, { type Test } from 'tap'
import { Pairing, type PairingOptions, toPairing } from '../../src/connectors/pairing.js'
import type { PeerRecord } from '../../src/journal/peers.js'
import { connectorContext } from '../helpers/connector-host.js'
import { MemoryPeers } from '../helpers/memory-peers.js'
import { incoming } from '../helpers/scripted-connector.js'
import { until } from '../helpers/until.js'

async function pairingOf(_t: Test, options: Partial<PairingOptions> = {}, peers = new MemoryPeers()) {
  const { log, logged } = connectorContext()
  const requested: PeerRecord[] = []
  const resolved: [string, boolean][] = []
  const pairing = new Pairing({
    codeTtlMs: 60_000,
    maxPending: 2,
    rejectedMs: 0,
    log,
    onRequested: (record) => requested.push(record),
    onResolved: ({ peer }, approved) => resolved.push([peer, approved]),
    ...options,
  })
  await pairing.load(peers)
  const ask = (id: string, peer = id) =>
    pairing.request('chat', incoming('hi', { sender: { id, name: `N${id}` }, peer }))
  return { pairing, peers, ask, requested, resolved, logged }
}

t.test('codes are short, unambiguous and each stranger’s own', async (t) => {
  const { ask } = await pairingOf(t, { maxPending: 100 })
  const codes = await Promise.all(Array.from({ length: 100 }, (_, n) => ask(String(n))))
  t.equal(new Set(codes).size, 100)
  for (const code of codes) t.match(code, /^[0-9A-HJKMNP-TV-Z]{8}$/)
})

t.test('who asked is approved by code, however it is typed', async (t) => {
  const { pairing, ask, resolved, requested, logged } = await pairingOf(t)
  const code = (await ask('7'))!
  t.equal(await ask('7'), null)
  t.notOk(pairing.isPaired('chat', '7'))
  t.equal(requested.length, 1)
  const typed = ` ${code.slice(0, 4).toLowerCase()}-${code.slice(4).replaceAll('0', 'o').replaceAll('1', 'l')}`
  t.match(await pairing.approve({ code: typed }, 'ops'), { peer: '7', approvedBy: 'ops' })
  t.ok(pairing.isPaired('chat', '7'))
  t.notOk(pairing.isPaired('other', '7'))
  t.strictSame(resolved, [['7', true]])
  await t.rejects(pairing.approve({ code }, 'ops'), { code: 'NOT_FOUND' })
  t.match(await pairing.approve({ channel: 'chat', peer: '7' }, 'again'), { approvedBy: 'ops' })
  t.notMatch(JSON.stringify(logged), new RegExp(code))
})

t.test('who is rejected is forgotten, whether asking or let in', async (t) => {
  const { pairing, peers, ask, resolved } = await pairingOf(t)
  const code = (await ask('7'))!
  await pairing.reject({ code }, 'ops')
  await t.rejects(pairing.approve({ code }, 'ops'), { code: 'NOT_FOUND' })
  const next = (await ask('7'))!
  t.not(next, code)
  await pairing.approve({ code: next }, 'ops')
  await pairing.reject({ channel: 'chat', peer: '7' }, 'ops')
  t.notOk(pairing.isPaired('chat', '7'))
  t.equal(peers.records.size, 0)
  t.strictSame(resolved, [
    ['7', false],
    ['7', true],
    ['7', false],
  ])
  await t.rejects(pairing.reject({ channel: 'chat', peer: '7' }, 'ops'), { code: 'NOT_FOUND' })
})

t.test('who is rejected stays so for a time, over a restart, unless an operator lets them in', async (t) => {
  const { pairing, peers, ask, resolved } = await pairingOf(t, { rejectedMs: 60_000 })
  const code = (await ask('7'))!
  await pairing.reject({ code }, 'ops')
  t.equal(await ask('7'), null)
  t.match(pairing.list(), [{ peer: '7', approvedAt: null }])
  t.match(toPairing(pairing.list()[0]!, true), { state: 'rejected', code: null, expiresAt: Number })
  await t.rejects(pairing.approve({ code }, 'ops'), { code: 'NOT_FOUND' })
  await t.rejects(pairing.approve({ code: '-' }, 'ops'), { code: 'NOT_FOUND' })
  await t.rejects(pairing.reject({ channel: 'chat', peer: '7' }, 'ops'), { code: 'NOT_FOUND' })
  t.ok(await ask('8'))
  t.ok(await ask('9'), 'who is rejected takes no place of those who ask')

  const after = await pairingOf(t, { rejectedMs: 60_000 }, peers)
  t.equal(await after.ask('7'), null)
  t.notOk(after.pairing.isPaired('chat', '7'))
  await after.pairing.approve({ channel: 'chat', peer: '7' }, 'ops')
  t.ok(after.pairing.isPaired('chat', '7'))
  await after.pairing.reject({ channel: 'chat', peer: '7' }, 'ops')
  t.notOk(after.pairing.isPaired('chat', '7'))
  t.equal(await after.ask('7'), null)
  t.strictSame(resolved, [['7', false]])
})

t.test('when that time is over they may ask anew', async (t) => {
  const { pairing, ask } = await pairingOf(t, { rejectedMs: 1 })
  await pairing.reject({ code: (await ask('7'))! }, 'ops')
  await until(async () => (await ask('7')) !== null)
  t.match(pairing.list(), [{ peer: '7', code: /^\w{8}$/ }])
})

t.test('of a group that was rejected nobody can ask there', async (t) => {
  const { pairing, ask } = await pairingOf(t, { rejectedMs: 60_000 })
  await pairing.approve({ code: (await ask('7', '#room'))! }, 'ops', true)
  await pairing.reject({ channel: 'chat', peer: '#room' }, 'ops')
  t.equal(await ask('8', '#room'), null)
  t.ok(await ask('8'))
})

t.test('a whole group can be let in where one of it asked', async (t) => {
  const { pairing, peers, ask } = await pairingOf(t)
  await pairing.approve({ code: (await ask('7', '#room'))! }, 'ops', true)
  t.ok(pairing.isPaired('chat', '#room'))
  t.notOk(pairing.isPaired('chat', '7'))
  t.strictSame([...peers.records.keys()], ['chat #room'])
})

t.test('a code expires, and then there is a new one; too many get none', async (t) => {
  const { pairing, ask, peers } = await pairingOf(t, { codeTtlMs: -1 })
  const code = (await ask('7'))!
  t.strictSame(pairing.list(), [])
  await t.rejects(pairing.approve({ code }, 'ops'), { code: 'NOT_FOUND' })
  const next = await ask('7')
  t.ok(next !== null && next !== code)
  t.equal(peers.records.size, 1)
  const full = await pairingOf(t, { maxPending: 1 })
  t.ok(await full.ask('7'))
  t.equal(await full.ask('8'), null)
})

t.test('who is known is known after a restart, and is not told the code again', async (t) => {
  const { pairing, ask, peers } = await pairingOf(t)
  await pairing.approve({ code: (await ask('7'))! }, 'ops')
  const code = (await ask('8'))!
  const after = await pairingOf(t, {}, peers)
  t.ok(after.pairing.isPaired('chat', '7'))
  t.equal(await after.ask('8'), null)
  t.match(after.pairing.list(), [{ peer: '7' }, { peer: '8' }])
  await after.pairing.approve({ code }, 'ops')
  t.ok(after.pairing.isPaired('chat', '8'))
})

t.test('what could not be written did not happen', async (t) => {
  const { pairing, ask, peers, requested } = await pairingOf(t)
  peers.broken = true
  await t.rejects(ask('7'), /disk full/)
  t.strictSame(pairing.list(), [])
  t.strictSame(requested, [])
  peers.broken = false
  const code = (await ask('7'))!
  peers.broken = true
  await t.rejects(pairing.approve({ code }, 'ops'), /disk full/)
  t.notOk(pairing.isPaired('chat', '7'))
})

t.test('a code is shown only to who may approve it, and only while it counts', async (t) => {
  const { pairing, ask } = await pairingOf(t)
  const code = (await ask('7'))!
  const [pending] = pairing.list()
  t.match(toPairing(pending!, true), { kind: 'peer', state: 'pending', code, approvedAt: null })
  t.equal(toPairing(pending!, false).code, null)
  const approved = await pairing.approve({ code }, 'ops')
  t.match(toPairing(approved, true), { state: 'approved', code: null, expiresAt: null, approvedBy: 'ops' })
})
