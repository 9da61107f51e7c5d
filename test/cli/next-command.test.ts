import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCli } from '../helpers/gateway-process.js'
import { gateway, newHome } from './running.js'

const NOTHING = '/nowhere/at/all.db'

/** A user with the profile `work`, and what a command of it says. */
function setUp(t: Test) {
  const user = newHome(t)
  const env = { HOME: user, LURKBOT_HOME: '', LURKBOT_PROFILE: 'work' }
  const say = async (...args: string[]) => {
    const { stdout, stderr } = await runCli(args, { home: '', env })
    return stdout + stderr
  }
  return { home: join(user, '.lurkbot-work'), env, say }
}

t.test('what is to be typed next reaches the same gateway: its profile is part of it', async (t) => {
  const { home, env, say } = setUp(t)
  const stopped = [
    ['doctor'],
    ['gateway', 'restart'],
    ['gateway', 'call', 'sessions.list', '[]'],
    ['cron', 'add'],
  ]
  const running = [
    ['gateway', 'start'],
    ['journal', 'backup', NOTHING],
    ['journal', 'restore', NOTHING],
    ['cron', 'remove', 'none'],
  ]
  const saysSo = async (args: string[]) => {
    const said = await say(...args)
    t.match(said, 'lurkbot --profile work ', args.join(' '))
    t.notMatch(said, /\blurkbot (?!--profile work )/, args.join(' '))
  }
  for (const args of stopped) await saysSo(args)
  const { stop } = await gateway(t, { home, env })
  for (const args of running) await saysSo(args)
  await stop()
  t.ok(existsSync(join(home, 'journal.db')))
  writeFileSync(join(home, 'journal.db'), 'this is no database '.repeat(1_000))
  for (const args of [['journal', 'check'], ['doctor']]) await saysSo(args)
})
