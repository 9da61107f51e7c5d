import t from 'tap'
import { ConfigSchema } from '../../src/config/schema.js'
import { assignmentsOf, contextOf, execForm, parseDockerfile } from '../image/instructions.js'
import { build, exists, read } from './manifests.js'

// .ci/run runs its steps, by test/image/dockerfile.ts; this is what can be told at a glance.

const { stages } = parseDockerfile(read('Dockerfile'))
const image = stages.at(-1)!
const textOf = (name: string) => image.instructions.filter((one) => one.name === name).map(({ text }) => text)

t.test('what the Dockerfile copies is there, and no .dockerignore leaves it out', async (t) => {
  const context = contextOf(read('.dockerignore'))
  const copies = stages.flatMap(({ instructions }) => instructions.filter(({ name }) => name === 'COPY'))
  for (const { text } of copies.filter(({ text }) => !text.startsWith('--from='))) {
    for (const source of text.split(/\s+/).slice(0, -1)) {
      t.ok(context.includes(source), `${source} is in the build context`)
      t.ok(exists('.', source), source)
    }
  }
})

t.test('the image runs as the user that the pod is given, and hears its signals', async (t) => {
  const { spec } = build('deploy/kubernetes/base').find(({ kind }) => kind === 'StatefulSet')!.spec.template
  const { runAsUser, runAsGroup } = spec.securityContext
  t.same(textOf('USER'), [`${runAsUser}:${runAsGroup}`])
  const command = execForm(textOf('CMD')[0]!)
  t.equal(command[0], 'node', 'no shell is between')
  t.same(spec.containers[0].args.slice(0, 4), command.slice(0, 4))
  t.equal(execForm(textOf('HEALTHCHECK')[0]!)[0], 'node')
})

t.test('the image says its port and its state folder as they are', async (t) => {
  t.same(textOf('EXPOSE'), [`${ConfigSchema.properties.port.default}`])
  t.match(assignmentsOf(textOf('ENV')[0]!), { LURKBOT_HOME: textOf('VOLUME')[0] })
})
