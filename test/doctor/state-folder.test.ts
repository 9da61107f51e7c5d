import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { judgeFileSystem } from '../../src/doctor/file-systems.js'
import { stateFolder } from '../../src/doctor/state-folder.js'
import { temporaryFolder } from '../helpers/app.js'
import { contextOf, run, told } from './context.js'

/** Neither how much is free nor where a temporary folder is: that is the machine's. */
const notOk = (found: string[]) =>
  found.filter((line) => /^(error|warning)/.test(line) && !/are free for|is in (memory|the layer)/.test(line))

t.test('a folder that is only its owner’s is good, and one that is not there yet is made', async (t) => {
  const context = await contextOf(t)
  writeFileSync(join(context.home, 'token'), 'x', { mode: 0o600 })
  t.same(notOk(told(await run(stateFolder, context))), [])
  const none = await contextOf(t, {}, { home: join(context.home, 'none') })
  t.match(told(await run(stateFolder, none)), [/^info: .*is not there yet/])
})

t.test('what others may read is told, and closed on request', async (t) => {
  const context = await contextOf(t)
  const { home } = context
  const token = join(home, 'token')
  const journalPath = join(home, 'journal.db')
  for (const path of [token, join(home, 'tls.key'), journalPath]) {
    writeFileSync(path, '')
    chmodSync(path, 0o644)
  }
  chmodSync(home, 0o755)
  const found = await run(stateFolder, { ...context, journalPath })
  t.match(notOk(told(found)), [
    /^warning: .* is open to others \(mode 755\)/,
    /^error: .*tls\.key is open to others \(mode 644\)/,
    /^error: .*token is open/,
    /^warning: .*journal\.db is open/,
  ])
  t.ok(found.filter(({ fixable }) => fixable).every(({ remedy }) => /^chmod (600|700) /.test(remedy!)))
  t.equal(statSync(token).mode & 0o777, 0o644, 'looking changes nothing')

  await run(stateFolder, { ...context, journalPath, fix: true })
  t.equal(statSync(token).mode & 0o777, 0o600)
  t.equal(statSync(home).mode & 0o777, 0o700)
  t.same(notOk(told(await run(stateFolder, { ...context, journalPath }))), [])
})

t.test('a pid file of a process that is gone is told, and removed on request', async (t) => {
  const context = await contextOf(t)
  const path = join(context.home, 'gateway.pid')
  const record = { pid: 2 ** 22, identity: 'gone', url: 'http://127.0.0.1:1', lastRestart: null }
  writeFileSync(path, JSON.stringify(record), { mode: 0o600 })
  t.match(notOk(told(await run(stateFolder, context))), [
    /^warning: gateway\.pid names process 4194304, which is gone/,
  ])
  t.ok(existsSync(path))
  await run(stateFolder, { ...context, fix: true })
  t.notOk(existsSync(path))
})

t.test('a file that has the folder’s name is an error', async (t) => {
  const home = join(await temporaryFolder(t), 'home')
  writeFileSync(home, '')
  t.match(told(await run(stateFolder, await contextOf(t, {}, { home }))), [/^error: .*is no folder/])
})

t.test('file systems that do not keep a journal are told', async (t) => {
  const home = mkdtempSync('/dev/shm/lurkbot-doctor-')
  t.teardown(() => rmSync(home, { recursive: true }))
  const found = told(await run(stateFolder, await contextOf(t, {}, { home })))
  t.match(found.join('\n'), /warning: .*is in memory/)
  t.match(judgeFileSystem(0x6969, '/srv'), { severity: 'error', message: /network file system \(NFS\)/ })
  t.match(judgeFileSystem(0xff53_4d42, '/srv'), { severity: 'error', message: /CIFS/ })
  t.match(judgeFileSystem(0x794c_7630, '/srv'), { severity: 'warning', remedy: 'Mount a volume there.' })
  t.equal(judgeFileSystem(0xef53, '/srv'), null, 'ext4')
})
