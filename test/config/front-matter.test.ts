import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { checkDocument } from '../../src/config/document.js'
import { readFrontMatter } from '../../src/config/front-matter.js'
import type { Problem } from '../../src/config/problems.js'
import fc from '../helpers/properties.js'

const read = async (file: string, text: string | Buffer) => {
  await writeFile(file, text)
  const problems: Problem[] = []
  return { found: await readFrontMatter(file, 1_000, problems), problems }
}

t.test('the head is what stands between the lines, the body is the rest', async (t) => {
  const file = join(t.testdir(), 'a.md')
  for (const text of ['---\na: 1\n---\n\nbody\n', '\ufeff---  \r\na: 1\r\n---\r\nbody']) {
    const { found, problems } = await read(file, text)
    t.same([found?.head.value, found?.body, problems], [{ a: 1 }, 'body', []], JSON.stringify(text))
  }
  const { found } = await read(file, '---\n---\nbody\n---\nmore')
  t.same([found?.head.value, found?.body], [{}, 'body\n---\nmore'])
  t.equal((await read(file, '---\na: "---"\nb: ---x\n---')).found?.body, '')
})

t.test('a problem in the head has the line of the file', async (t) => {
  const file = join(t.testdir(), 'a.md')
  const { found } = await read(file, '---\n# why\na: x\nlist:\n  - 1\n  - b\n---\n')
  const problems: Problem[] = []
  const schema = Type.Object({ a: Type.Integer(), list: Type.Array(Type.Integer()) })
  t.equal(checkDocument(schema, found!.head, problems), undefined)
  t.same(problems, [
    { path: 'a', source: `${file}:3`, message: 'expected an integer, found "x"' },
    { path: 'list[1]', source: `${file}:6`, message: 'expected an integer, found "b"' },
  ])
})

t.test('what is no such file is told and harms nothing', async (t) => {
  const folder = t.testdir({ folder: {} })
  const file = join(folder, 'a.md')
  const of = async (text: string | Buffer) => (await read(file, text)).problems[0]?.message
  t.match(await of(''), /^expected YAML between two lines of ---/)
  t.match(await of('---\na: 1\n'), /^expected YAML between/)
  t.match(await of('x'.repeat(1_001)), /^expected a file of at most 1000 bytes/)
  t.match(await of(Buffer.from([0xff])), /^expected UTF-8 text/)
  t.match(await of('---\n- 1\n---\n'), /^expected keys and values/)
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const problems: Problem[] = []
  t.equal(await readFrontMatter(pipe, 1_000, problems), undefined)
  t.match(problems, [{ message: /^expected a file/ }])
  await t.rejects(readFrontMatter(join(folder, 'none'), 1_000, []), { code: 'ENOENT' })
})

t.test('whatever stands in a file, it is either read or told', async (t) => {
  const file = join(t.testdir(), 'a.md')
  const line = fc.constantFrom(
    '---',
    'a: 1',
    '- x',
    '  b: [',
    '&a *a',
    '? :',
    '<<: {}',
    '__proto__: 1',
    '',
    '|',
    '\t',
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(line, fc.string()), { maxLength: 8 }), async (lines) => {
      const { found, problems } = await read(file, lines.join('\n').slice(0, 300))
      return (found === undefined) === problems.length > 0
    }),
    { numRuns: 300 },
  )
  t.pass()
})
