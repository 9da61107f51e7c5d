import assert from 'node:assert/strict'
import type { PeerRecord } from '../journal/peers.js'
import { again } from './journal-samples.js'
import type { DefineJournalTest } from './journal-suite.js'

const samplePeer = (channel: string, peer: string, overrides: Partial<PeerRecord> = {}): PeerRecord => ({
  channel,
  peer,
  name: null,
  target: { peer, thread: null },
  code: 'ABCD-1234',
  requestedAt: 1_000,
  expiresAt: 2_000,
  approvedAt: null,
  approvedBy: null,
  ...overrides,
})

/** Who may write to the channels. */
export function peerTests(within: DefineJournalTest): void {
  within('knows the peers of the channels, as they were saved last', async (test) => {
    const target = { peer: '#room', thread: 't' }
    const asking = samplePeer('b', '2', { name: 'Ü 🙂', target })
    const others = [samplePeer('b', '10'), samplePeer('a', 'ü'), samplePeer('a', 'z')]
    for (const peer of [asking, ...others]) await test.journal.savePeer(peer)
    const approved = { ...asking, approvedAt: 1_500, approvedBy: 'admin' }
    await test.journal.savePeer(approved)
    let journal = await again(test)
    assert.deepEqual(await journal.peers(), [others[2], others[1], others[0], approved])
    assert.equal(await journal.removePeer('b', '10'), true)
    assert.equal(await journal.removePeer('b', '10'), false)
    journal = await again(test)
    assert.deepEqual(await journal.peers(), [others[2], others[1], approved])
  })

  within('pages through more peers than it looks at in one go', async ({ journal }) => {
    const peers = Array.from({ length: 1_000 }, (_, n) => samplePeer('a', String(n).padStart(4, '0')))
    await Promise.all(peers.map((peer) => journal.savePeer(peer)))
    assert.deepEqual(await journal.peers(), peers)
  })
}
