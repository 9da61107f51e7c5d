import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { loadConfig } from '../../src/config/load.js'
import { ConfigError, formatProblems } from '../../src/config/problems.js'
import { docsFolder } from '../../src/docs/generate.js'
import * as protocol from '../../src/protocol/index.js'

const FRAMES: Record<string, TSchema> = {
  hello: protocol.HelloFrame,
  'hello-ok': protocol.HelloOkFrame,
  'hello-error': protocol.HelloErrorFrame,
  request: protocol.RequestFrame,
  response: protocol.ResponseFrame,
  cancel: protocol.CancelFrame,
}

function schemaOf(frame: Record<string, unknown>): TSchema {
  if (frame.type === undefined) return protocol.ErrorShape
  if (frame.type === 'event') return 'seq' in frame ? protocol.EventFrame : protocol.InboundEventFrame
  return FRAMES[String(frame.type)]!
}

async function examples(page: string, language: string): Promise<string[]> {
  const text = await readFile(join(docsFolder(), page), 'utf8')
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    ([, code]) => code!,
  )
}

t.test('every frame that the pages show is one of the protocol', async (t) => {
  const shown = [...(await examples('protocol.md', 'json')), ...(await examples('methods.md', 'json'))]
  t.ok(shown.length > 8)
  for (const text of shown) {
    const frame = JSON.parse(text) as Record<string, unknown>
    t.strictSame([...Value.Errors(schemaOf(frame), frame)], [], text)
    if (frame.type === 'event' && frame.event === 'session.message') {
      t.strictSame([...Value.Errors(protocol.Message, frame.payload)], [], 'its payload')
    }
    if (frame.type === 'request') {
      t.strictSame([...Value.Errors(protocol.sessionsSend.params, frame.params)], [], 'its params')
    }
  }
})

t.test('the configuration that the page shows loads', async (t) => {
  const [yaml] = await examples('config.md', 'yaml')
  const { config } = await loadConfig({ env: {}, home: t.testdir({ 'config.yaml': yaml! }) })
  t.equal(config.defaultAgent, 'helper')
})

t.test('the problems that the page shows are what such a configuration gives', async (t) => {
  const text = await readFile(join(docsFolder(), 'config.md'), 'utf8')
  const home = t.testdir({
    'config.yaml': '# mine\nprot: 80\n\nagents:\n  helper:\n    type: echo\n\n\ndefaultAgent: helpr\n',
  })
  const env = { LURKBOT_GATEWAY__LANES__CAPACITY: 'many' }
  await t.rejects(loadConfig({ env, home }), ConfigError)
  await loadConfig({ env, home }).catch((error: ConfigError) => {
    const shown = formatProblems(error).replaceAll(home, '/home/me/.lurkbot')
    t.ok(text.includes(shown), shown)
  })
})

t.test('what the page on plugins quotes of the connector package is in it', async (t) => {
  const code = withoutIndent(await readFile('examples/connector-package/index.js', 'utf8'))
  const [, ...quoted] = await examples('plugins.md', 'javascript')
  t.equal(quoted.length, 2)
  for (const text of quoted) t.ok(code.includes(withoutIndent(text)), text)
})

function withoutIndent(code: string): string {
  return code.replace(/^ +/gm, '')
}
