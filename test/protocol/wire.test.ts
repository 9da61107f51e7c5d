import { readFile } from 'node:fs/promises'
import t from 'tap'
import { currentWire, leavesOf, SNAPSHOT } from './wire.js'

t.test('the wire is as it was pinned', async (t) => {
  const pinned = new Set((await readFile(SNAPSHOT, 'utf8')).trimEnd().split('\n'))
  const current = new Set(leavesOf(currentWire()))
  const drift = [
    ...[...pinned].filter((leaf) => !current.has(leaf)).map((leaf) => `- ${leaf}`),
    ...[...current].filter((leaf) => !pinned.has(leaf)).map((leaf) => `+ ${leaf}`),
  ]
  t.strictSame(
    drift,
    [],
    'a drift of the wire is a decision: see "Versions of the protocol" in docs/protocol.md for whether clients stand it; ' +
      'if it is meant, pin it by `npm run wire`, and commit it with `npm run docs`',
  )
})

t.test('what is pinned has no texts for people, which may change freely', async (t) => {
  const leaves = leavesOf(currentWire()).join('\n')
  t.notMatch(leaves, /\/description: "/)
  t.match(leaves, 'methods/sessions.send/params/properties/content/minLength: 1')
})
