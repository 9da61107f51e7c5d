import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WindowsTask } from '../../../src/cli/daemon/windows-task.js'
import { renderTask } from '../../../src/cli/daemon/windows-task-xml.js'
import { EXIT } from '../../../src/cli/exit-codes.js'
import { recorder, userHome } from './recorded.js'

const PLAN = { stopTimeoutMs: 41_000, writable: [] }
const NAMESPACE = '{http://schemas.microsoft.com/windows/2004/02/mit/task}'

/** The names of what is in it, as a tree; a leaf is its text. */
const PARSE = `
import json, sys, xml.etree.ElementTree as tree
def read(node):
    return [node.tag, [read(child) for child in node] or node.text]
print(json.dumps(read(tree.fromstring(sys.stdin.buffer.read()))))
`

type Node = [name: string, content: Node[] | string]

const parse = (xml: string | Buffer) =>
  JSON.parse(execFileSync('python3', ['-c', PARSE], { input: xml }).toString()) as Node

function child(node: Node, ...path: string[]): Node {
  const [name, ...rest] = path
  if (name === undefined) return node
  const found = (node[1] as Node[]).find(([tag]) => tag === NAMESPACE + name)
  if (found === undefined) throw new Error(`no ${name} in ${node[0]}`)
  return child(found, ...rest)
}

const PLACE = {
  profile: null,
  home: 'C:\\Users\\Me & You\\.lurkbot',
  node: 'C:\\Program Files\\nodejs\\node.exe',
  program: 'C:\\lurkbot\\dist\\src\\cli\\main.js',
  environmentFile: 'C:\\Users\\Me & You\\.lurkbot\\environment',
}

/** A Task Scheduler that has the task or not. */
function setUp(t: Test) {
  const home = userHome(t)
  const state = { exists: false, definition: '' }
  const { run, calls } = recorder((command) => {
    if (command.includes('/Create')) state.exists = true
    if (command.includes('/Delete')) state.exists = false
    if (!command.includes('/Query')) return {}
    return state.exists ? { stdout: state.definition } : { code: 1, stderr: 'ERROR: ...' }
  })
  const env = { USERDOMAIN: 'HOUSE', USERNAME: 'me' }
  const place = { ...PLACE, home, environmentFile: join(home, 'environment') }
  const service = new WindowsTask(place, { run, env, ended: async () => {} })
  const asked = () => calls.splice(0).filter((call) => !call.includes('/Query'))
  return { home, service, state, asked }
}

t.test('the definition is what the Task Scheduler knows: its elements, each in its place', async (t) => {
  const task = parse(
    renderTask(PLACE, { user: 'HOUSE\\me', hasEnvironmentFile: false }).replace('UTF-16', 'UTF-8'),
  )
  t.equal(task[0], `${NAMESPACE}Task`)
  t.strictSame(
    (task[1] as Node[]).map(([name]) => name.replace(NAMESPACE, '')),
    ['RegistrationInfo', 'Triggers', 'Principals', 'Settings', 'Actions'],
  )
  t.equal(child(task, 'Triggers', 'LogonTrigger', 'UserId')[1], 'HOUSE\\me')
  t.equal(child(task, 'Principals', 'Principal', 'RunLevel')[1], 'LeastPrivilege')
  t.equal(child(task, 'Settings', 'ExecutionTimeLimit')[1], 'PT0S', 'it may run for ever')
  t.equal(child(task, 'Settings', 'RestartOnFailure', 'Interval')[1], 'PT1M')
  t.equal(child(task, 'Actions', 'Exec', 'Command')[1], 'cmd.exe')
  t.equal(
    child(task, 'Actions', 'Exec', 'Arguments')[1],
    '/d /s /c "set "LURKBOT_HOME=C:\\Users\\Me & You\\.lurkbot"&& ' +
      '"C:\\Program Files\\nodejs\\node.exe" "C:\\lurkbot\\dist\\src\\cli\\main.js" gateway start --detached ' +
      '>>"C:\\Users\\Me & You\\.lurkbot\\logs\\gateway.err.log" 2>&1"',
  )
})

t.test('a profile and secrets get to it', async (t) => {
  const xml = renderTask({ ...PLACE, profile: 'work' }, { user: 'me', hasEnvironmentFile: true })
  t.match(xml, '<URI>\\lurkbot-gateway-work</URI>')
  t.match(xml, 'LURKBOT_PROFILE=work')
  t.match(xml, '--env-file=C:\\Users\\Me &amp; You\\.lurkbot\\environment')
})

t.test('it is made, run, ended and removed with schtasks', async (t) => {
  const { home, service, asked } = setUp(t)
  const path = join(home, 'lurkbot-gateway.xml')
  t.match(await service.status(), { installed: false, state: 'stopped' })
  await t.rejects(service.start(), { exitCode: EXIT.FAILED, message: /daemon install/ })
  t.equal(await service.install(PLAN), 'installed')
  await service.start()
  t.strictSame(asked(), [
    `schtasks /Create /F /TN lurkbot-gateway /XML ${path}`,
    'schtasks /Run /TN lurkbot-gateway',
  ])
  t.equal(await service.install(PLAN), 'unchanged')
  asked()
  writeFileSync(join(home, 'environment'), '')
  t.equal(await service.install(PLAN), 'updated', 'secrets are read from a file that is there now')
  asked()
  const text = readFileSync(path)
  t.strictSame([...text.subarray(0, 2)], [0xff, 0xfe], 'as UTF-16, which schtasks wants')
  t.equal(child(parse(text), 'Actions', 'Exec', 'Command')[1], 'cmd.exe')
  t.match(await service.status(), { installed: true, enabled: true })
  await service.restart()
  t.strictSame(asked(), ['schtasks /End /TN lurkbot-gateway', 'schtasks /Run /TN lurkbot-gateway'])
  t.strictSame(await service.uninstall(), [path])
  t.strictSame(asked(), ['schtasks /End /TN lurkbot-gateway', 'schtasks /Delete /F /TN lurkbot-gateway'])
  t.notOk(existsSync(path))
  t.strictSame(await service.uninstall(), [])
})

t.test('it knows which gateway a task is of, even where that has another state folder', async (t) => {
  const { service, home } = setUp(t)
  t.equal(await service.owner(), null)
  await service.install(PLAN)
  t.strictSame(await service.owner(), { variable: 'LURKBOT_HOME', value: home })
  const other = setUp(t)
  const definition = renderTask(PLACE, { user: 'HOUSE\\me', hasEnvironmentFile: false })
  Object.assign(other.state, { exists: true, definition })
  t.strictSame(await other.service.owner(), { variable: 'LURKBOT_HOME', value: PLACE.home })
})
