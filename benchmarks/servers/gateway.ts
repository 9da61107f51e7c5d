import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildApp } from '../../src/app.js'
import { loadConfig } from '../../src/config/load.js'
import { serveControl } from './control.js'

/** The gateway as it ships, with a token, on a journal of its own; what the limits for strangers would refuse is let through. */
const home = mkdtempSync(join(tmpdir(), 'lurkbot-bench-'))
process.on('exit', () => rmSync(home, { recursive: true, force: true }))
const { config } = await loadConfig({
  env: {
    LURKBOT_HOME: home,
    LURKBOT_GATEWAY__PORT: '0',
    LURKBOT_GATEWAY__AUTH_TOKENS: 'benchmark-token',
    LURKBOT_GATEWAY__RATE_LIMIT__UPGRADES__MAX: '0',
    ...process.env,
  },
  flags: {},
})
const app = await buildApp({ config, home, baseDir: home })
await app.listen({ host: config.host, port: config.port })
const url = `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws`
const publish = (n: number) => {
  const payload = JSON.stringify({
    runId: 'run_benchmark',
    text: `piece ${n} of an answer that someone is waiting for`,
  })
  app.events.broadcast({
    event: 'agent.delta',
    sessionKey: 'bench:fan-out:main',
    at: Date.now(),
    payload,
    seq: 0,
  })
}
const journalBytes = () =>
  readdirSync(home).reduce((bytes, name) => bytes + statSync(join(home, name)).size, 0)
serveControl(url, publish, journalBytes)
