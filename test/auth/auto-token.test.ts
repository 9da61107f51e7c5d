import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ensureAutoToken, isAuthRequired } from '../../src/auth/auto-token.js'
import { ConfigError } from '../../src/config/problems.js'
import { load } from '../config/helpers.js'

const TOKEN = 'kept-from-an-earlier-start'

async function homeWith(t: Test, content: string, mode = 0o600) {
  const home = t.testdir()
  const path = join(home, 'token')
  await writeFile(path, content, { mode })
  await chmod(path, mode)
  return { home, path }
}

t.test('a token is made once, for its owner only, and found at the next start', async (t) => {
  const home = join(t.testdir(), 'state', 'folder')
  const made = await ensureAutoToken(home)
  t.match(made, { created: true, path: join(home, 'token'), token: /^[\w-]{43}$/ })
  t.equal((await stat(made.path)).mode & 0o777, 0o600)
  t.equal((await stat(home)).mode & 0o777, 0o700)
  t.equal((await readFile(made.path, 'utf8')).trim(), made.token)
  t.strictSame(await readdir(home), ['token'], 'no draft is left')
  t.strictSame(await ensureAutoToken(home), { ...made, created: false })
})

t.test('processes that start at the same time agree on one token', async (t) => {
  const home = t.testdir()
  const tokens = await Promise.all(Array.from({ length: 8 }, () => ensureAutoToken(home)))
  t.equal(new Set(tokens.map(({ token }) => token)).size, 1)
  t.equal(tokens.filter(({ created }) => created).length, 1)
  t.strictSame(await readdir(home), ['token'])
})

t.test('a token may be a symlink, as mounted secrets are', async (t) => {
  const { path } = await homeWith(t, `${TOKEN}\n`)
  const home = join(path, '..', 'home')
  await mkdir(home)
  await symlink(path, join(home, 'token'))
  t.match(await ensureAutoToken(home), { token: TOKEN, created: false })
})

t.test('a file that cannot be trusted is refused by its path and left alone', async (t) => {
  const cases: [name: string, content: string, mode: number, expected: RegExp][] = [
    ['read by the group', TOKEN, 0o640, /may be read by others \(mode 640\): run chmod 600/],
    ['read by everyone', TOKEN, 0o604, /may be read by others \(mode 604\)/],
    ['empty', ' \n', 0o600, /is empty: remove it/],
    ['two lines', `${TOKEN}\n${TOKEN}\n`, 0o600, /other than one token/],
    ['too long', 'x'.repeat(5_000), 0o600, /5000 bytes/],
  ]
  for (const [name, content, mode, expected] of cases) {
    await t.test(name, async (t) => {
      const { home, path } = await homeWith(t, content, mode)
      const error = await ensureAutoToken(home).catch((error) => error)
      t.type(error, ConfigError)
      t.match(error.message, expected)
      t.ok(error.message.includes(path), 'names the path')
      t.notOk(error.message.includes(TOKEN), 'does not name the token')
      t.equal(await readFile(path, 'utf8'), content)
    })
  }
})

t.test('a place where no token can be is refused', async (t) => {
  await mkdir(join(t.testdir(), 'token'))
  await t.rejects(ensureAutoToken(t.testdirName), /token is not a regular file/)
  const file = join(t.testdir({ file: 'not a folder' }), 'file')
  await t.rejects(ensureAutoToken(file), { name: 'ConfigError', message: /cannot be used: ENOTDIR/ })
})

t.test('authentication is on beyond loopback, with tokens, or when asked for', async (t) => {
  const required = async (env: Record<string, string>) => {
    const prefixed = Object.entries(env).map(([name, value]) => [`LURKBOT_GATEWAY__${name}`, value])
    return isAuthRequired((await load(t, { env: Object.fromEntries(prefixed) })).config)
  }
  t.equal(await required({}), false)
  t.equal(await required({ AUTH_ENABLED: 'true' }), true)
  t.equal(await required({ AUTH_TOKENS: 'token1,token2' }), true)
  t.equal(await required({ AUTH_TOKENS: 'token1', AUTH_ENABLED: 'false' }), false)
  t.equal(await required({ HOST: '0.0.0.0' }), true)
  t.equal(await required({ HOST: '::1' }), false)
  t.equal(await required({ TRUST_PROXY: '127.0.0.1' }), true, 'a proxy makes it public')
  t.equal(await required({ TRUST_PROXY: '127.0.0.1', AUTH_ENABLED: 'false' }), false, 'the proxy asks')
  const { config } = await load(t)
  const open = { ...config, host: '::', auth: { ...config.auth, enabled: false } }
  t.equal(isAuthRequired(open), true, 'also when it was switched off past the checks')
})
