import { readFileSync, readlinkSync } from 'node:fs'
import t from 'tap'
import { freePort } from '../helpers/free-port.js'
import { type ProxyKind, ReverseProxy } from '../helpers/reverse-proxy.js'
import { proxySuite } from './proxy-suite.js'

const FOLDER = '/var/lib/haproxy'
const isRoot = process.getuid?.() === 0

const haproxy: ProxyKind = {
  name: 'haproxy',
  files: { root: 'haproxy/haproxy.cfg', path: 'haproxy/haproxy-path.cfg' },
  idleTimeout: 'timeout tunnel 75s',
  keepsOnReload: true,
  probes: true,
  changes: ({ httpPort, httpsPort, pem, gatewayPort }) => [
    ['bind :80', `bind 127.0.0.1:${httpPort}`],
    ['bind :::80', `bind ::1:${httpPort}`],
    ['bind :443', `bind 127.0.0.1:${httpsPort}`],
    ['bind :::443', `bind ::1:${httpsPort}`],
    ['/etc/haproxy/certs/gateway.pem', pem],
    ['127.0.0.1:18789', `127.0.0.1:${gatewayPort}`],
    ['inter 2s', 'inter 100ms'],
    // Only root can give up its rights.
    ...(isRoot ? [] : [[`  user haproxy\n  group haproxy\n  chroot ${FOLDER}\n`, ''] as const]),
  ],
  check: (config) => ['/usr/sbin/haproxy', '-c', '-f', config],
  start: (config) => ['/usr/sbin/haproxy', '-W', '-f', config],
  reload: () => 'SIGUSR2',
}

for (const file of Object.values(haproxy.files)) {
  t.test(`with ${file} it serves without root’s rights and files`, async (t) => {
    if (!isRoot) {
      t.pass('it is not started by root')
      return
    }
    const kind = { ...haproxy, files: { root: file, path: file } }
    const proxy = await ReverseProxy.start(t, kind, { gatewayPort: await freePort(), changes: [] })
    // The ports are open before it has given up anything; an answer comes after.
    const { status } = await fetch(`http://127.0.0.1:${proxy.httpPort}/`, { redirect: 'manual' })
    t.equal(status, 308)
    const [main] = childrenOf(process.pid).filter((pid) => commandOf(pid) === 'haproxy')
    const workers = childrenOf(main!)
    t.equal(workers.length, 1)
    for (const pid of workers) {
      const [, uid, gid] = /^Uid:\s+(\d+).*\nGid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!
      t.not(uid, '0')
      t.not(gid, '0')
      t.equal(readlinkSync(`/proc/${pid}/root`), FOLDER)
    }
  })
}

proxySuite(haproxy)

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children.trim().split(' ').filter(Boolean).map(Number)
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
}
