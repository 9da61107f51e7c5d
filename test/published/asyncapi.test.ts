import { Parser } from '@asyncapi/parser'
import t from 'tap'
import { startApp } from '../helpers/app.js'

// In a file of its own: it takes some seconds for a document of this size.
t.test('/asyncapi.json is a document of AsyncAPI, as its parser says', async (t) => {
  const { url } = await startApp(t)
  const text = await (await fetch(`${url}/asyncapi.json`)).text()
  const diagnostics = await new Parser().validate(text)
  t.strictSame(
    diagnostics
      .filter(({ severity }) => severity <= 1)
      .map(({ code, message, path }) => `${code} ${path.join('/')}: ${message}`),
    [],
  )
})
