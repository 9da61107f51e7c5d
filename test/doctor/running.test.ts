import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { agents } from '../../src/doctor/agents.js'
import type { Check } from '../../src/doctor/check.js'
import { judgeClock } from '../../src/doctor/clock.js'
import { connectors, judgeChannel } from '../../src/doctor/connectors.js'
import { judgeHealth } from '../../src/doctor/gateway.js'
import { port } from '../../src/doctor/port.js'
import { runChecks } from '../../src/doctor/run-checks.js'
import type { ChannelStatus } from '../../src/protocol/channels.js'
import { VERSION } from '../../src/version.js'
import { freePort } from '../helpers/free-port.js'
import { contextOf, run, told } from './context.js'

t.test('a port is free, or it is told who has it', async (t) => {
  const number = await freePort()
  const context = await contextOf(t, { port: number })
  t.match(told(await run(port, context)), [`ok: Port ${number} at 127.0.0.1 is free.`])
  const server = createServer().listen(number, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const [taken] = await run(port, context)
  t.match(taken, { severity: 'error', message: new RegExp(`in use by process ${process.pid} \\(`) })
  t.match(taken!.remedy, /lurkbot gateway start --port/)
  const running = { url: `http://127.0.0.1:${number}`, pid: 7 } as never
  t.match(told(await run(port, { ...context, running })), [/^ok: .*served by the gateway \(process 7\)/])
})

t.test('each check of a running gateway that is not green is told, and an old version', (t) => {
  const health = { status: 'ok' as const, version: VERSION, uptimeMs: 5, checks: {} }
  t.match(told(judgeHealth(health, 7)), [/^ok: It runs \(process 7/])
  const checks = {
    events: { status: 'ok' as const },
    journal: { status: 'failing' as const, message: 'the disk is full' },
    channels: { status: 'degraded' as const },
  }
  t.match(told(judgeHealth({ ...health, checks, version: '0.0.1' }, 7)), [
    'error: journal: the disk is full',
    'warning: channels: degraded',
    `warning: Version 0.0.1 is running, and ${VERSION} is installed.`,
  ])
  t.end()
})

t.test('a clock that was set is found by the journal and by the gateway’s own', (t) => {
  const now = Date.UTC(2026, 5, 1)
  const good = { now, newestAt: now - 5, startedAt: now - 60_000, uptimeMs: 59_000 }
  t.match(told(judgeClock(good)), [/^ok/])
  t.match(told(judgeClock({ ...good, newestAt: now + 7_200_000 })), [/^warning: .*2 h in the future/])
  t.match(told(judgeClock({ ...good, uptimeMs: 3_660_000 })), [/^warning: .*set back by 1 h/])
  t.match(told(judgeClock({ ...good, startedAt: now - 7_200_000 })), [
    /^warning: .*set forward by 1 h 59 min/,
  ])
  t.match(told(judgeClock({ ...good, startedAt: now + 7_200_000, uptimeMs: null })), [
    /^warning: .*in the future/,
  ])
  t.match(told(judgeClock({ now: 0, newestAt: null, startedAt: null, uptimeMs: null })), [/^warning: .*1970/])
  t.end()
})

t.test('connectors are told by their variables while stopped, by their state while running', async (t) => {
  const config = { connectors: { tg: { type: 'telegram', tokenEnv: 'TG' } } }
  t.match(told(await run(connectors, await contextOf(t))), ['ok: None is configured.'])
  t.match(told(await run(connectors, await contextOf(t, config))), [/^info: tg: whether/])
  const unset = [{ connector: 'tg', variable: 'TG' }]
  const missing = told(await run(connectors, await contextOf(t, config, { unset })))
  t.match(missing, [/^error: connectors\.tg: TG is not set/])

  const status: ChannelStatus = {
    channel: 'telegram',
    connector: 'tg',
    type: 'telegram',
    state: 'connected',
    since: 0,
    identity: null,
    error: null,
    pending: 2,
  }
  const error = { code: 'UNAUTHORIZED', message: 'the token was refused', details: null } as never
  t.same(judgeChannel(status), [])
  t.match(judgeChannel({ ...status, state: 'failed', error }), [
    { severity: 'error', message: /tg has failed: the token was refused/, remedy: /channels\.start/ },
  ])
  t.match(told(judgeChannel({ ...status, state: 'waiting', error })), [/^warning: .*tries again/])
  t.match(told(judgeChannel({ ...status, error })), [/^warning: .*is connected, but/])
  t.match(told(judgeChannel({ ...status, state: 'stopped' })), [/^info: .*2 messages wait/])
})

t.test('what agents need is looked for: programs, backends of this machine, keys', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const open = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  const closed = `http://127.0.0.1:${await freePort()}/run`
  const { home } = await contextOf(t)
  writeFileSync(join(home, 'coder'), '#!/bin/sh\n')
  chmodSync(join(home, 'coder'), 0o755)
  const look = async (configured: object) =>
    told(
      await run(agents, await contextOf(t, { agents: configured } as never, { home, env: { PATH: home } })),
    )
  const good = { a: { type: 'acp', command: 'coder' }, b: { type: 'openai', baseUrl: open } }
  t.match(await look(good), [/^ok: echo, a, b/])
  const bad = {
    a: { type: 'acp', command: 'no-such' },
    b: { type: 'http', url: closed, secretEnv: 'B_SECRET' },
    c: { type: 'openai', baseUrl: 'https://api.example/v1' },
  }
  t.match(await look(bad), [
    /^error: agents\.a\.command: no-such is no program/,
    /^error: agents\.b\.url: nothing answers at 127\.0\.0\.1:\d+: .*ECONNREFUSED/,
    /^warning: agents\.b\.secretEnv: B_SECRET is not set/,
    /^info: agents\.c\.baseUrl: api\.example is elsewhere/,
  ])
  const echoes = await contextOf(t, { connectors: { irc: { type: 'irc' } } })
  t.match(told(await run(agents, echoes)), [/^warning: Everyone on the channels is answered by echo/])
})

/** The port of a program that takes no more connections: whoever comes is neither let in nor turned away. */
async function silentPort(t: Test): Promise<number> {
  const program = `require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () {
    require('node:fs').writeSync(1, String(this.address().port))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`
  const child = spawn(process.execPath, ['-e', program])
  t.teardown(() => child.kill('SIGKILL'))
  const [text] = await once(child.stdout, 'data')
  const port = Number(text)
  const waiting = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  t.teardown(() => {
    for (const socket of waiting) socket.destroy()
  })
  await once(waiting[0]!, 'connect')
  return port
}

t.test('a backend that does not answer is an error, and what else agents lack is told', async (t) => {
  if (process.platform !== 'linux') return t.comment('SKIPPED: elsewhere a full queue turns people away')
  const configured = {
    a: { type: 'openai', baseUrl: `http://127.0.0.1:${await silentPort(t)}/v1` },
    b: { type: 'acp', command: 'no-such' },
  }
  const context = await contextOf(t, { agents: configured } as never, { peerTimeoutMs: 50 })
  t.match(told(await run(agents, context)), [
    /^error: agents\.a\.baseUrl: nothing answers at 127\.0\.0\.1:\d+: it took longer than 0\.05 s/,
    /^error: agents\.b\.command: no-such is no program/,
  ])
})

t.test('a check that throws or hangs is a finding, and the others stand', async (t) => {
  const checks: Check[] = [
    { name: 'good', run: () => [{ severity: 'ok', message: 'fine' }] },
    {
      name: 'throws',
      run: () => {
        throw new Error('no idea')
      },
    },
    { name: 'hangs', timeoutMs: 20, run: () => new Promise(() => {}) },
  ]
  t.match(await runChecks(await contextOf(t), checks), [
    { check: 'good', severity: 'ok' },
    { check: 'throws', severity: 'warning', message: /no idea/ },
    { check: 'hangs', severity: 'warning', message: /longer than 0\.02 s/ },
  ])
})
