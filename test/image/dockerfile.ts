import type { ChildProcess } from 'node:child_process'
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createNodeClient } from '../../src/client/node.js'
import { ROOT, read } from '../deploy/manifests.js'
import { freePort } from '../helpers/free-port.js'
import { gatewayEnv } from '../helpers/gateway-process.js'
import { until } from '../helpers/until.js'
import { contextOf, execForm, parseDockerfile } from './instructions.js'
import { ended, Root, succeed } from './root.js'

// Not one of the test files: it installs everything anew. .ci/run has it as a phase of its own.

/** Generous: it is to tell when something large comes in. */
const MAX_MB = 100
const TOKEN = 'a-token-of-the-image'

const folder = mkdtempSync(join(tmpdir(), 'lurkbot-image-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** Of a file, or of all that is in a folder. */
function bytesOf(path: string): number {
  const status = lstatSync(path)
  if (!status.isDirectory()) return status.size
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0)
}

const megabytes = (path: string) => Math.round(bytesOf(path) / 100_000) / 10

const { args, stages } = parseDockerfile(read('Dockerfile'))
const [build, image] = stages as [(typeof stages)[0], (typeof stages)[0]]
// What the npm of a developer or of CI is told, except that nothing of this package's is inherited.
const env = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(LURKBOT_|TAP|NODE_OPTIONS$|npm_(package|lifecycle)_)/.test(name),
  ),
)
const { IMAGE_INSTALL, IMAGE_NODE_MODULES } = process.env
const cached =
  IMAGE_INSTALL && IMAGE_NODE_MODULES ? { command: IMAGE_INSTALL, nodeModules: IMAGE_NODE_MODULES } : null
const roots = new Map<string, Root>()
let root: Root

t.test('the steps of the Dockerfile, as they stand, make an image', async (t) => {
  t.equal(process.getuid?.(), 0, 'images are made by root')
  t.match(
    args,
    [{ name: 'ARG', text: `NODE=${process.versions.node.split('.')[0]}` }],
    'with the Node of the image',
  )
  const context = join(folder, 'context')
  mkdirSync(context)
  for (const name of contextOf(read('.dockerignore'))) {
    cpSync(join(ROOT, name), join(context, name), { recursive: true })
  }
  for (const [number, stage] of [build, image].entries()) {
    root = new Root(join(folder, `stage-${number}`), { ...env, npm_config_prefer_offline: 'true' })
    await root.run(stage, { context, stages: roots, cached })
    roots.set(stage.name, root)
  }
  t.same(readdirSync(root.at('/app')).sort(), ['LICENSE', 'dist', 'node_modules', 'package.json', 'skills'])
})

t.test('it has what production needs and nothing else', async (t) => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { dev?: boolean }>
  }
  const dev = Object.keys(packages).filter((path) => packages[path]!.dev === true)
  t.ok(dev.length > 0)
  t.same(
    dev.filter((path) => existsSync(root.at(path))),
    [],
    'no development dependency',
  )
  const { dependencies } = JSON.parse(readFileSync(root.at('package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const imports = Object.keys(dependencies).map((name) => `await import(${JSON.stringify(name)})`)
  await succeed('its libraries load', root.start(['node', '--input-type=module', '-e', imports.join('\n')]))
  t.same(
    readdirSync(root.at('/app'), { recursive: true }).filter((path) => /\.(map|[mc]?ts)$/.test(`${path}`)),
    [],
  )

  const whole = megabytes(root.at('/app'))
  const parts = ['node_modules', 'dist'].map((name) => `${name} ${megabytes(root.at(name))} MB`)
  // Standard output is the test's.
  console.error(`image: ${whole} MB over the base image (${parts.join(', ')})`)
  t.ok(whole < MAX_MB, `${whole} MB`)
})

t.test('its command serves, its health check finds out, and SIGTERM ends it in order', async (t) => {
  const port = await freePort()
  const settings = {
    ...gatewayEnv('/data'),
    LURKBOT_GATEWAY__PORT: `${port}`,
    LURKBOT_GATEWAY__AUTH_TOKENS: TOKEN,
    NODE_OPTIONS: '',
    PATH: env.PATH,
  }
  const check = async () => (await ended(root.start(execForm(root.healthcheck), settings))).code
  const gateway = root.start(execForm(root.cmd), settings)
  t.teardown(() => gateway.kill('SIGKILL'))
  const end = ended(gateway)
  let over = false
  void end.then(() => {
    over = true
  })
  await until(
    async () => over || (await fetch(`http://127.0.0.1:${port}/health/ready`).catch(() => null))?.ok === true,
  )
  if (over) t.fail((await end).output)
  const client = createNodeClient({
    url: `ws://127.0.0.1:${port}/ws`,
    token: TOKEN,
    client: { id: 'image', version: '1', platform: 'test', mode: 'cli' },
  })
  t.teardown(() => client.close())
  t.match(await client.connect(), { type: 'hello-ok' })
  client.close()
  t.equal(await check(), 0)
  t.equal(lstatSync(root.at('/data/journal.db')).uid, 1000, 'its state is its user’s')
  t.equal(ownerOf(gateway), '1000')
  process.kill(childOf(gateway), 'SIGTERM')
  t.match(await end, { code: 0, signal: null })
  t.not(await check(), 0)
})

/** `unshare` waits for the one process that it has made. */
const childOf = ({ pid }: ChildProcess) =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0])

const ownerOf = (child: ChildProcess) =>
  /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${childOf(child)}/status`, 'utf8'))?.[1]
