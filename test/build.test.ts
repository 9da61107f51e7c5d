import { existsSync, readdirSync } from 'node:fs'
import t from 'tap'

// The build only adds: what it made of a file that is gone would be tested for ever.
t.test('what is built has its source', async (t) => {
  const built = readdirSync('dist', { recursive: true, encoding: 'utf8' })
  const orphans = built.filter((file) => file.endsWith('.js') && !existsSync(file.replace(/js$/, 'ts')))
  t.same(orphans, [], '`npm run clean` takes them away')
})
