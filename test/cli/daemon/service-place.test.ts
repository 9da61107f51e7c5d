import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findPlace, planService } from '../../../src/cli/daemon/service-place.js'

/** What a service of a state folder with this configuration may write, beside that folder. */
async function writableOf(t: Test, config: string) {
  const home = mkdtempSync(join(tmpdir(), 'lurkbot-place-'))
  t.teardown(() => rmSync(home, { recursive: true, force: true }))
  writeFileSync(join(home, 'config.yaml'), config)
  const env = { LURKBOT_HOME: home }
  const { plan, hasPrograms } = await planService(findPlace('user', env), env)
  return { home, writable: plan.writable, hasPrograms }
}

t.test('a service may write where its journal is', async (t) => {
  const elsewhere = await writableOf(t, 'journal: { path: ../elsewhere/j.db }\n')
  t.match(elsewhere, { writable: [join(elsewhere.home, '../elsewhere')], hasPrograms: false })
  for (const config of [
    '',
    'journal: { path: data/j.db }\n',
    'journal: { type: memory, path: /srv/j.db }\n',
  ]) {
    t.strictSame((await writableOf(t, config)).writable, [], config)
  }
})
