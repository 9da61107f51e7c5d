import t from 'tap'
import { Foreground } from '../../src/cli/foreground.js'

t.test('a signal before the start is no failure', async (t) => {
  const foreground = new Foreground({})
  await t.resolves(foreground.reload())
  await t.resolves(foreground.restart())
  t.equal(foreground.place, null)
})
