import t from 'tap'
import { hasColors, paintFor } from '../../src/cli/paint.js'

const terminal = { isTTY: true }
const pipe = {}

t.test('colours are for terminals, unless the environment says otherwise', async (t) => {
  const cases: [object, NodeJS.ProcessEnv, boolean][] = [
    [terminal, {}, true],
    [terminal, { TERM: 'dumb' }, false],
    [terminal, { NO_COLOR: '1' }, false],
    [terminal, { NO_COLOR: '' }, true],
    [terminal, { FORCE_COLOR: '0' }, false],
    [pipe, {}, false],
    [pipe, { FORCE_COLOR: '1' }, true],
    [pipe, { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
  ]
  for (const [output, env, expected] of cases) t.equal(hasColors(output, env), expected, JSON.stringify(env))
  t.equal(paintFor(pipe, {})('red', 'x'), 'x')
  t.equal(paintFor(terminal, {})('red', 'x'), '\u001b[31mx\u001b[39m')
})
