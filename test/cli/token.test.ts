import t from 'tap'
import { runCli } from '../helpers/gateway-process.js'
import { gateway, newHome } from './running.js'

t.test('tokens are made, listed, rotated and revoked through the running gateway', async (t) => {
  const { home } = await gateway(t, { env: { LURKBOT_GATEWAY__AUTH_ENABLED: 'true' } })
  const token = (...args: string[]) => runCli(['token', ...args], { home })
  const made = await token('new', 'ci', '--role', 'viewer', '--session', 'ci:*', 'web:*', '--expires', '12h')
  t.equal(made.code, 0, made.stderr)
  t.match(made.stdout, /^lbt_[\w-]{43}\n$/)
  t.match(made.stderr, /viewer: read; ci:\* web:\*/)
  t.notMatch(made.stderr, /Authentication is off/)
  const listed = await token('list')
  t.match(listed.stdout, /NAME +ID.*ci +tok_\S+ +viewer.*auto +\(auto\)/s)
  const { tokens } = JSON.parse((await token('list', '--json')).stdout)
  t.match(tokens[0], { name: 'ci', expiresAt: tokens[0].createdAt + 43_200_000 })

  const call = (secret: string) =>
    runCli(['gateway', 'call', 'gateway.info'], { home, env: { LURKBOT_TOKEN: secret } })
  t.equal((await call(made.stdout.trim())).code, 0)
  const rotated = await token('rotate', tokens[0].tokenId, '--overlap', '1h')
  t.match(rotated, { code: 0, stdout: /^lbt_/, stderr: /good until/ })
  t.match(await token('revoke', 'ci'), { code: 0, stdout: /revoked/ })
  t.match(await call(rotated.stdout.trim()), { code: 77 })
  t.match(await token('revoke', 'ci'), { code: 1, stderr: /^NOT_FOUND/ })
})

t.test('what is wrong is said before anything is done', async (t) => {
  const home = newHome(t)
  const token = (...args: string[]) => runCli(['token', ...args], { home })
  t.match(await token('new', 'ci', '--expires', 'soon'), { code: 64, stderr: /expected a duration/ })
  t.match(await token('new'), { code: 64, stderr: /missing required argument/ })
  t.match(await token('list'), { code: 69, stderr: /not running at .*\n.*lurkbot gateway start/ })
})
