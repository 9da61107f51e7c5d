import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { openTestJournal, temporaryFolder } from '../journal/helpers.js'

const PROGRAM = fileURLToPath(new URL('./deliver-forever.js', import.meta.url))

/** Lets the program send until it was asked for all of these texts, and kills it. Resolves with what it was asked for. */
async function killAt(path: string, last: string, texts: readonly string[]): Promise<[string, string][]> {
  const child = spawn(process.execPath, [PROGRAM, path, last], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const asked: [string, string][] = []
  for await (const line of createInterface({ input: child.stdout })) {
    asked.push(JSON.parse(line))
    if (texts.every((text) => asked.some(([found]) => found === text))) child.kill('SIGKILL')
  }
  const [, signal] = await exited
  if (signal !== 'SIGKILL') throw new Error('the program ended by itself')
  return asked
}

t.test('killed between two parts, it goes on with the next, in order, under the same keys', async (t) => {
  const path = join(await temporaryFolder(t), 'journal.db')
  const first = await killAt(path, 'b', ['b', 'f'])
  t.strictSame(
    first.map(([text]) => text).filter((text) => 'abcd'.includes(text)),
    ['a', 'b'],
  )
  const second = await killAt(path, 'd', ['d'])
  const ofPeer = second.filter(([text]) => 'abcd'.includes(text))
  t.strictSame(
    ofPeer.map(([text]) => text),
    ['b', 'c', 'd'],
  )
  t.strictSame(
    ofPeer[0],
    first.find(([text]) => text === 'b'),
    'the platform can tell that it had it',
  )
  const journal = await openTestJournal(t, path)
  const waiting = (await journal.pendingDeliveries()).filter(({ peer }) => peer === '1')
  t.equal(waiting.length, 1)
  t.match(await journal.delivery(waiting[0]!.id), { content: { text: 'd' }, partsSent: 0 })
})
