import t from 'tap'
import { renderPages } from '../../src/docs/generate.js'
import { fillPage } from '../../src/docs/markdown.js'
import { allContracts } from '../../src/docs/methods-doc.js'

t.test('the committed pages are what the schemas generate; `npm run docs` writes them', async (t) => {
  for (const { file, found, wanted } of await renderPages()) t.equal(found, wanted, file)
})

t.test('every method has its heading, and every link inside a page leads to one', async (t) => {
  for (const { file, wanted } of await renderPages()) {
    const anchors = new Set(
      [...wanted.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
        heading!
          .toLowerCase()
          .replace(/[^a-z0-9 _-]/g, '')
          .replaceAll(' ', '-'),
      ),
    )
    for (const [, target] of wanted.matchAll(/\]\(#([^)]*)\)/g))
      t.ok(anchors.has(target!), `${file}: #${target}`)
    if (file.endsWith('methods.md')) {
      for (const { name } of allContracts()) t.ok(anchors.has(name.toLowerCase().replace('.', '')), name)
    }
  }
})

t.test('a page without a place for a part, or with a part that nobody makes, is refused', async (t) => {
  const parts = { one: () => '1' }
  t.equal(fillPage('a\n<!-- generated:one -->\nold\n<!-- /generated -->\nb', parts).includes('old'), false)
  t.throws(() => fillPage('nothing', parts), /no place for the generated parts: one/)
  t.throws(() => fillPage('<!-- generated:two -->\n<!-- /generated -->', parts), /'two': unknown or twice/)
})
