import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findRunning, isRunning, readPidFile, removePidFile, writePidFile } from '../../src/cli/pid-file.js'
import { processIdentity } from '../../src/cli/process-identity.js'

const fields = {
  startedAt: 1,
  version: '1',
  url: 'http://127.0.0.1:1',
  wsUrl: 'ws://127.0.0.1:1/ws',
  configFile: null,
  lastRestart: null,
}

t.test('the file names the process, only its owner may read it, and it goes with it', async (t) => {
  const home = join(t.testdir(), 'new', 'home')
  const { record, remove } = writePidFile(home, fields)
  t.match(readPidFile(home), { pid: process.pid, ...fields })
  t.equal(statSync(join(home, 'gateway.pid')).mode & 0o777, 0o600)
  t.same(findRunning(home), record)
  remove()
  remove()
  t.notOk(existsSync(join(home, 'gateway.pid')))
})

t.test('a file that is missing, damaged or of something else counts as none', async (t) => {
  const home = t.testdir()
  t.equal(readPidFile(home), null)
  t.equal(readPidFile(join(home, 'nowhere')), null)
  for (const text of ['', '{', '42', '{"pid":"1"}', '{"pid":-1,"url":"http://x"}']) {
    writeFileSync(join(home, 'gateway.pid'), text)
    t.equal(readPidFile(home), null, text)
  }
})

t.test('a process that has ended is not running', async (t) => {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'])
  await once(child, 'spawn')
  const record = { ...fields, pid: child.pid!, identity: processIdentity(child.pid!) }
  t.ok(isRunning(record))
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.notOk(isRunning(record))
})

t.test('a process that has ended and was not collected by its parent is not running', async (t) => {
  if (process.platform !== 'linux') {
    t.pass('there is no /proc')
    return
  }
  // The shell becomes a program that never collects the child it had.
  const parent = spawn('sh', ['-c', 'sleep 0.05 & echo $!; exec sleep 60'])
  t.teardown(() => parent.kill('SIGKILL'))
  const pid = Number(String((await once(parent.stdout, 'data'))[0]))
  const record = { ...fields, pid, identity: null }
  while (isRunning(record)) await new Promise((resolve) => setImmediate(resolve))
  t.ok(existsSync(`/proc/${pid}`), 'the system still lists it')
})

t.test('a pid that another process got later is not taken for the gateway', async (t) => {
  if (processIdentity(process.pid) === null) {
    t.pass('the system does not say when a process began')
    return
  }
  t.notOk(isRunning({ ...fields, pid: process.ppid, identity: 'an earlier start' }))
  t.notOk(isRunning({ ...fields, pid: process.pid, identity: 'the container before this one' }))
})

t.test('the file of a later gateway is left alone', async (t) => {
  const home = t.testdir()
  const { record, remove } = writePidFile(home, fields)
  writeFileSync(join(home, 'gateway.pid'), JSON.stringify({ ...record, pid: 1, identity: 'later' }))
  remove()
  removePidFile(home, record)
  t.equal(readPidFile(home)?.pid, 1)
})
