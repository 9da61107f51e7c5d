import { homedir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { profileOf, resolveHome } from '../../src/config/paths.js'

t.test('the state folder is the one that is named, that of the profile, or the common one', async (t) => {
  t.equal(resolveHome({}, '/work'), join(homedir(), '.lurkbot'))
  t.equal(resolveHome({ LURKBOT_PROFILE: 'two' }, '/work'), join(homedir(), '.lurkbot-two'))
  t.equal(resolveHome({ LURKBOT_HOME: 'state', LURKBOT_PROFILE: 'two' }, '/work'), '/work/state')
  t.equal(resolveHome({ LURKBOT_HOME: '~/other' }, '/work'), join(homedir(), 'other'))
  t.equal(profileOf({ LURKBOT_PROFILE: 'two' }), 'two')
  t.equal(profileOf({ LURKBOT_HOME: '/x', LURKBOT_PROFILE: 'two' }), null)
  t.equal(profileOf({ LURKBOT_HOME: '', LURKBOT_PROFILE: '' }), null)
})

t.test(
  'a profile cannot lead out of the folder, nor be a name that others would have to escape',
  async (t) => {
    for (const LURKBOT_PROFILE of ['../up', 'a/b', '-a', 'a b', '.', 'ä', 'x'.repeat(33)]) {
      t.throws(() => resolveHome({ LURKBOT_PROFILE }, '/work'), {
        name: 'ConfigError',
        message: /LURKBOT_PROFILE/,
      })
    }
  },
)
