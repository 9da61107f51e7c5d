import { proxySuite } from './proxy-suite.js'

proxySuite({
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
  ],
  check: (config) => ['/usr/sbin/haproxy', '-c', '-f', config],
  start: (config) => ['/usr/sbin/haproxy', '-W', '-f', config],
  reload: () => 'SIGUSR2',
})
