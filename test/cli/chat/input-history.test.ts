import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { InputHistory } from '../../../src/cli/chat/input-history.js'

t.test('it is for this user alone, latest first, and the same again is no entry', async (t) => {
  const home = t.testdir()
  const history = new InputHistory(home)
  t.same(history.read(), [])
  for (const line of ['one', 'two', 'two', '  ', 'x'.repeat(10_001), 'one']) history.add(line)
  await history.written()
  t.equal(statSync(join(home, 'chat-history')).mode & 0o777, 0o600)
  t.same(new InputHistory(home).read(), ['one', 'two', 'one'])
})

t.test('the file is bounded, whoever writes it', async (t) => {
  const home = t.testdir()
  const path = join(home, 'chat-history')
  writeFileSync(path, Array.from({ length: 2_500 }, (_, index) => `${index}\n`).join(''))
  const lines = new InputHistory(home).read()
  t.equal(lines.length, 1_000)
  t.equal(lines[0], '2499')
  t.equal(readFileSync(path, 'utf8').split('\n').length, 1_001)
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('two chats beside each other lose nothing', async (t) => {
  const home = t.testdir()
  const [a, b] = [new InputHistory(home), new InputHistory(home)]
  for (let index = 0; index < 20; index++) {
    a.add(`a${index}`)
    b.add(`b${index}`)
  }
  await Promise.all([a.written(), b.written()])
  t.equal(new InputHistory(home).read().length, 40)
})

t.test('where there is no folder there is no history, and no failure', async (t) => {
  const history = new InputHistory('/no/such/folder')
  t.same(history.read(), [])
  history.add('x')
  await history.written()
})
