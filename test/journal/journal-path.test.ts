import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { journalPath } from '../../src/journal/journal-path.js'
import { testConfig } from '../helpers/app.js'

const at = (journal: { type?: 'memory' | 'sqlite'; path?: string }) =>
  journalPath({
    config: testConfig({ journal: { type: 'sqlite', ...journal } }),
    home: '/state',
    baseDir: '/etc/lurkbot',
  })

t.test('the journal is where the configuration says, as its other paths are', async (t) => {
  t.equal(at({}), join('/state', 'journal.db'))
  t.equal(at({ path: 'data/j.db' }), resolve('/etc/lurkbot/data/j.db'))
  t.equal(at({ path: '~/j.db' }), join(homedir(), 'j.db'))
  t.equal(at({ path: '/srv/j.db' }), resolve('/srv/j.db'))
  t.equal(at({ type: 'memory', path: '/srv/j.db' }), null)
})
