import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { renderUnit, type Scope, type UnitSpec, unitOwner } from '../../../src/cli/daemon/systemd-unit.js'
import { renderDeployFiles } from '../../../src/docs/deploy-files.js'
import { docsFolder } from '../../../src/docs/generate.js'
import { PROGRAM } from '../../helpers/gateway-process.js'

const SPEC: UnitSpec = {
  profile: null,
  home: '/home/me/.lurkbot',
  node: process.execPath,
  program: PROGRAM,
  environmentFile: '/home/me/.lurkbot/environment',
  stopTimeoutMs: 42_000,
  writable: [],
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'lurkbot-unit-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** What systemd-analyze says of a unit; all of it is on standard error where something is wrong. */
function analyze(t: Test, text: string, ...args: string[]) {
  const home = folder(t)
  const unit = join(home, 'lurkbot-gateway.service')
  writeFileSync(unit, text)
  const env = { ...process.env, XDG_RUNTIME_DIR: home }
  const { error, status, stdout, stderr } = spawnSync('systemd-analyze', [...args, unit], {
    env,
    encoding: 'utf8',
  })
  if (error)
    throw new Error('systemd-analyze does not run: is systemd installed? (DEBIAN_PACKAGES in .ci/run)')
  return { status, stdout, stderr }
}

const exposure = (text: string) => Number(/exposure level for \S+: ([\d.]+)/.exec(text)?.[1])

t.test('systemd has nothing to say against the units', async (t) => {
  const scopes: [Scope, string[]][] = [
    ['user', ['--user', 'verify']],
    ['system', ['verify']],
  ]
  for (const [scope, args] of scopes) {
    const unit = renderUnit(SPEC, { scope, version: 252 })
    t.match(analyze(t, unit, ...args), { status: 0, stdout: '', stderr: '' }, scope)
  }
})

t.test(
  'they leave little open: the unit of the machine less than that of a user, whose manager may do less',
  async (t) => {
    for (const [scope, most] of [
      ['system', 2],
      ['user', 7],
    ] as const) {
      const unit = renderUnit(SPEC, { scope, version: 252 })
      const level = exposure(analyze(t, unit, 'security', '--offline=true').stdout)
      t.comment(`exposure of the ${scope} unit, 0 to 10: ${level}`)
      t.ok(level > 0 && level <= most, scope)
    }
  },
)

t.test('paths mean what they say, whatever is in them', async (t) => {
  const odd = join(folder(t), 'a b%h$HOME')
  mkdirSync(odd)
  symlinkSync(process.execPath, join(odd, 'node'))
  const spec = {
    ...SPEC,
    node: join(odd, 'node'),
    home: odd,
    writable: [odd],
    environmentFile: join(odd, 'environment'),
  }
  const unit = renderUnit(spec, { scope: 'user', version: 252 })
  t.match(analyze(t, unit, '--user', 'verify'), { status: 0, stderr: '' })
})

t.test('delays grow where systemd can let them', async (t) => {
  const old = renderUnit(SPEC, { scope: 'user', version: 252 })
  t.match(old, /^RestartSec=5s$/m)
  t.notMatch(old, /^RestartSteps=/m)
  t.match(renderUnit(SPEC, { scope: 'user', version: 254 }), /^RestartSteps=6\nRestartMaxDelaySec=1min$/m)
})

t.test('a stop has the time that the gateway may take', async (t) => {
  t.match(
    renderUnit({ ...SPEC, stopTimeoutMs: 600_000 }, { scope: 'user', version: 252 }),
    /^TimeoutStopSec=605s$/m,
  )
})

t.test('temporary files are its own, unless it lies among them', async (t) => {
  const spec = { ...SPEC, node: '/usr/bin/node', program: '/opt/lurkbot/main.js' }
  t.match(renderUnit(spec, { scope: 'user', version: 252 }), /^PrivateTmp=yes$/m)
  t.notMatch(renderUnit({ ...spec, home: '/tmp/state' }, { scope: 'user', version: 252 }), /^PrivateTmp=/m)
})

t.test('a profile finds its own state folder, and agents may write where they work', async (t) => {
  const spec = { ...SPEC, profile: 'work', home: '/home/me/.lurkbot-work', writable: ['/srv/code'] }
  const unit = renderUnit(spec, { scope: 'user', version: 252 })
  t.match(unit, /^Environment=LURKBOT_PROFILE=work$/m)
  t.match(unit, /^ReadWritePaths=\/home\/me\/\.lurkbot-work -\/srv\/code$/m)
})

t.test('the unit in deploy/ is the one that the gateway makes; `npm run docs` writes it', async (t) => {
  for (const { file, found, wanted } of await renderDeployFiles(dirname(docsFolder()))) {
    t.equal(found, wanted, file)
    const here = wanted.replaceAll('/usr/bin/node', process.execPath)
    const verified = here.replaceAll('/opt/lurkbot/dist/src/cli/main.js', PROGRAM)
    t.match(analyze(t, verified, 'verify'), { status: 0, stderr: '' })
  }
})

t.test('a unit tells which gateway it is of', async (t) => {
  const ownerOf = (spec: Partial<UnitSpec>, scope: Scope = 'user') =>
    unitOwner(renderUnit({ ...SPEC, ...spec }, { scope, version: 252 }))
  for (const home of ['/home/me/.lurkbot', '/srv/50 %h "of" it\\all']) {
    t.strictSame(ownerOf({ home }), { variable: 'LURKBOT_HOME', value: home })
  }
  t.strictSame(ownerOf({ profile: 'work' }), { variable: 'LURKBOT_PROFILE', value: 'work' })
  const home = '/var/lib/lurkbot-gateway-work'
  t.strictSame(ownerOf({ profile: 'work', home }, 'system'), { variable: 'LURKBOT_HOME', value: home })
  t.equal(unitOwner('[Service]\nEnvironment=PATH=/bin\n'), null)
})
