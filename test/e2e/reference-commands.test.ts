import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { createCertificate } from '../auth/certificates.js'
import { freePort } from '../helpers/free-port.js'
import { PROGRAM } from '../helpers/gateway-process.js'

/*
 * The command lines of the reference as a shell runs them, with `lurkbot` on the PATH and ~/.lurkbot as the state folder. Only
 * the ports are others, since tests run beside each other: 8080 and 18789 stand for free ones.
 */
const FLAGS = `lurkbot gateway start \\
  --host 0.0.0.0 \\
  --port 8080 \\
  --log-level debug`
const AUTHENTICATION = `LURKBOT_GATEWAY__AUTH_ENABLED=true
LURKBOT_GATEWAY__AUTH_TOKENS=token1,token2`
const TLS = `LURKBOT_GATEWAY__TLS_ENABLED=true
LURKBOT_GATEWAY__TLS_CERT=/path/to/cert.pem
LURKBOT_GATEWAY__TLS_KEY=/path/to/key.pem`

interface Shell {
  readonly home: string
  readonly port: number
  readonly otherPort: number
  /** Runs lines to their end. */
  run(
    lines: string,
    env?: NodeJS.ProcessEnv,
  ): Promise<{ code: number | null; stdout: string; stderr: string }>
  /** Runs a line that starts a gateway; resolves once it listens. */
  start(line: string, env?: NodeJS.ProcessEnv): Promise<{ url: string; stop(): Promise<number | null> }>
}

async function shell(t: Test): Promise<Shell> {
  const home = t.testdir()
  const bin = join(home, 'bin')
  mkdirSync(bin)
  writeFileSync(join(bin, 'lurkbot'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`)
  chmodSync(join(bin, 'lurkbot'), 0o755)
  const [port, otherPort] = await Promise.all([freePort(), freePort()])
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('LURKBOT_'))
  const own = { HOME: home, PATH: `${bin}:${process.env.PATH}`, LURKBOT_GATEWAY__PORT: String(port) }
  const begin = (lines: string, env: NodeJS.ProcessEnv): ChildProcess => {
    const script = lines.replaceAll('18789', String(port)).replaceAll('8080', String(otherPort))
    const child = spawn('sh', ['-c', script], { env: { ...Object.fromEntries(inherited), ...own, ...env } })
    t.teardown(() => child.kill('SIGKILL'))
    return child
  }
  return {
    home,
    port,
    otherPort,
    async run(lines, env = {}) {
      const child = begin(lines, env)
      const output = { stdout: '', stderr: '' }
      for (const name of ['stdout', 'stderr'] as const) {
        child[name]!.setEncoding('utf8').on('data', (text) => {
          output[name] += text
        })
      }
      const [code] = await once(child, 'close')
      return { code, ...output }
    },
    async start(line, env = {}) {
      const child = begin(`exec ${line}`, env)
      const closed = once(child, 'close')
      const seen: string[] = []
      for await (const text of createInterface({ input: child.stdout! })) {
        seen.push(text)
        const { msg, url } = JSON.parse(text)
        if (msg !== 'gateway started') continue
        child.stdout!.resume()
        const stop = async () => {
          child.kill('SIGTERM')
          return (await closed)[0]
        }
        return { url, stop }
      }
      throw new Error(`${line} ended:\n${seen.join('\n')}`)
    },
  }
}

/** Lines such as `NAME=value`, as a shell or a service's environment file takes them. */
function environment(lines: string, replace: Record<string, string> = {}): NodeJS.ProcessEnv {
  const pairs = lines.split('\n').map((line) => line.split('=') as [string, string])
  return Object.fromEntries(pairs.map(([name, value]) => [name, replace[value] ?? value]))
}

t.test('it is started, looked at, and told apart from one that does not run', async (t) => {
  const { run, start, port, home } = await shell(t)
  const refused = await run('lurkbot gateway call gateway.ping')
  t.match(refused, { code: 69, stderr: /connection refused\.\n *lurkbot gateway start/ })
  t.match(await run('lurkbot gateway status'), { code: 3, stdout: /not running.*\n *lurkbot gateway start/ })

  const gateway = await start('lurkbot gateway start', environment('LURKBOT_GATEWAY__HOST=127.0.0.1'))
  t.equal(gateway.url, `http://127.0.0.1:${port}`)
  const health = await run('curl http://127.0.0.1:18789/health')
  t.match(JSON.parse(health.stdout), { status: 'ok' })
  const metrics = await run('curl http://127.0.0.1:18789/metrics')
  t.match(metrics.stdout, /^gateway_active_lanes \d+$/m)
  t.match(await run('lurkbot gateway status'), { code: 0, stdout: /^The gateway is running/ })

  const taken = await run('lurkbot gateway start', { LURKBOT_HOME: join(home, 'other') })
  t.match(taken, {
    code: 69,
    stderr: /Port \d+ at 127\.0\.0\.1 is in use by process \d+ .*\n[\s\S]*lurkbot gateway start --port/,
  })
  t.equal(await gateway.stop(), 0)
})

t.test('with flags and tokens', async (t) => {
  const { start, run, otherPort } = await shell(t)
  const env = environment(AUTHENTICATION)
  const gateway = await start(FLAGS, env)
  t.equal(gateway.url, `http://127.0.0.1:${otherPort}`)
  const call = 'lurkbot gateway call gateway.ping'
  t.match(await run(call, { LURKBOT_TOKEN: 'token2' }), { code: 0 })
  const failed = await run(call, { LURKBOT_TOKEN: 'token3' })
  t.match(failed, { code: 77, stderr: /^Authentication failed.*\n[\s\S]*lurkbot token new/ })
  t.equal((await run('echo $LURKBOT_GATEWAY__AUTH_TOKENS', env)).stdout, 'token1,token2\n')
  t.match(await run(call, env), { code: 0 }, 'what it names is what the commands use')
  t.equal(await gateway.stop(), 0)
})

t.test('on another port, with TLS, for the network: then never open', async (t) => {
  const { start, run, home, otherPort } = await shell(t)
  const { cert, key } = await createCertificate()
  const paths = { '/path/to/cert.pem': join(home, 'cert.pem'), '/path/to/key.pem': join(home, 'key.pem') }
  writeFileSync(paths['/path/to/cert.pem'], cert)
  writeFileSync(paths['/path/to/key.pem'], key, { mode: 0o600 })
  const env = environment(`${TLS}\nLURKBOT_GATEWAY__HOST=0.0.0.0`, paths)
  const gateway = await start('lurkbot gateway start --port 8080', env)
  t.equal(gateway.url, `https://127.0.0.1:${otherPort}`)
  t.match(await run('lurkbot gateway call gateway.ping', env), { code: 0 }, 'the own commands have the token')
  const stranger = { LURKBOT_HOME: join(home, 'other'), NODE_EXTRA_CA_CERTS: join(home, 'cert.pem') }
  const refused = await run(`lurkbot gateway call gateway.ping --url ${gateway.url}`, stranger)
  t.match(refused, { code: 77, stderr: /^Authentication failed: Authentication is required/ })
  await gateway.stop()
})
