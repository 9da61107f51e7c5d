import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseAddress } from '../../src/cli/address.js'
import type { Target } from '../../src/cli/target.js'
import { proxy } from '../../src/doctor/proxy.js'
import { startApp, temporaryFolder } from '../helpers/app.js'
import { freePort } from '../helpers/free-port.js'
import { ServerProgram } from '../helpers/server-program.js'
import { contextOf, run, told } from './context.js'

const TOKEN = 'uJ3kq0Zr8VbnQ2xLw7TyEc5aHdMfPgSo'
const UPGRADE =
  'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
const HOST = 'proxy_set_header Host $http_host;'
const ADDRESS = 'proxy_set_header X-Forwarded-For $remote_addr;'

/** What an operator may have written, and forgotten. */
const LOCATIONS = {
  good: `${UPGRADE} ${HOST} ${ADDRESS}`,
  noUpgrade: `${HOST} ${ADDRESS}`,
  foreignHost: `${UPGRADE} proxy_set_header Host chat.example; ${ADDRESS}`,
  lostHost: `${UPGRADE} proxy_set_header Origin https://chat.example; ${ADDRESS}`,
  claimed: `${UPGRADE} ${HOST}`,
  noAddress: `${UPGRADE} ${HOST} proxy_set_header X-Forwarded-For "";`,
}

type Place = keyof typeof LOCATIONS | 'nothing'

/** nginx with one server for each, in front of `upstream`; one further has nothing behind it. */
async function startNginx(t: Test, upstream: string): Promise<Record<Place, string>> {
  const folder = await temporaryFolder(t)
  mkdirSync(join(folder, 'temp'))
  const urls: [string, string][] = []
  const servers: string[] = []
  let last = 0
  for (const [name, headers] of Object.entries({ ...LOCATIONS, nothing: '' })) {
    last = await freePort()
    urls.push([name, `http://127.0.0.1:${last}`])
    const behind = name === 'nothing' ? `http://127.0.0.1:${await freePort()}` : upstream
    servers.push(`server { listen 127.0.0.1:${last}; location / { proxy_pass ${behind}; ${headers} } }`)
  }
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (of) => `${of}_temp_path ${folder}/temp;`,
  )
  // One process: a worker would outlive a master that is killed.
  const main = `daemon off; master_process off; error_log stderr; pid ${folder}/pid; events {}`
  const config = `${main} http { access_log off; ${temp.join(' ')} ${servers.join('\n')} }`
  writeFileSync(join(folder, 'nginx.conf'), config)
  const nginx = new ServerProgram(['nginx', '-c', join(folder, 'nginx.conf'), '-p', folder], last)
  await nginx.start()
  t.teardown(() => nginx.kill())
  return Object.fromEntries(urls) as Record<Place, string>
}

t.test('what a proxy does not pass on is told with the line to add', async (t) => {
  const trustProxy = ['127.0.0.1']
  const { url } = await startApp(t, { trustProxy, auth: { tokens: [TOKEN] } })
  const urls = await startNginx(t, url)
  const look = async (at: string, token = TOKEN) => {
    const publicTarget = { ...parseAddress(at), token, tls: undefined } as Target
    const found = await run(proxy, await contextOf(t, { trustProxy }, { publicTarget }))
    return { lines: told(found), remedy: found.at(-1)!.remedy }
  }
  t.match((await look(urls.good)).lines, [/^ok: .*come through/, 'ok: The addresses of clients arrive.'])
  t.match(await look(urls.noUpgrade), {
    lines: [/^error: .* answers 4\d\d and not with a WebSocket/],
    remedy: /nginx: .*proxy_set_header Upgrade/,
  })
  t.match(await look(urls.foreignHost), {
    lines: [/^error: The gateway refuses the name 127\.0\.0\.1: Host is not/],
    remedy: /^auth\.allowedHosts/,
  })
  t.match(await look(urls.lostHost), {
    lines: [/^error: The gateway refuses pages of .*does not pass Host on/],
    remedy: /nginx: proxy_set_header Host/,
  })
  t.match(await look(urls.claimed), {
    lines: [/^ok/, /^warning: A client can claim any address/],
    remedy: /nginx: proxy_set_header X-Forwarded-For \$remote_addr/,
  })
  t.match((await look(urls.noAddress)).lines, [
    /^ok/,
    /^warning: .*believes that 127\.0\.0\.99 is 127\.0\.0\.1: X-Forwarded-For is missing/,
  ])
  t.match((await look(urls.nothing)).lines, [/^error: .*does not answer as a gateway/])
  t.match((await look(urls.good, 'wrong')).lines, [/^ok: .*come through/, /^info: .*only a token/])
})

t.test('a gateway that does not trust its proxy is told so', async (t) => {
  const { url } = await startApp(t)
  const urls = await startNginx(t, url)
  const publicTarget = { ...parseAddress(urls.good), token: undefined, tls: undefined } as Target
  const look = async (...context: Parameters<typeof contextOf>) =>
    told(await run(proxy, await contextOf(...context)))
  t.match(await look(t, {}, { publicTarget }), [/^ok/, /^warning: .*trustProxy is false/])
  t.match(await look(t, { basePath: '/gw' }), [/^warning: basePath is set/])
  t.match(await look(t, { trustProxy: ['10.0.0.1'] }), [/^info: .*shows through it/])
  t.match(await look(t), ['ok: None is configured.'])
})
