import { join } from 'node:path'
import { proxySuite } from './proxy-suite.js'

proxySuite({
  name: 'nginx',
  files: { root: 'nginx/lurkbot.conf', path: 'nginx/lurkbot-path.conf' },
  idleTimeout: 'proxy_read_timeout 75s;',
  keepsOnReload: true,
  probes: false,
  changes: ({ httpPort, httpsPort, cert, key, gatewayPort }) => [
    ['listen 80;', `listen 127.0.0.1:${httpPort};`],
    ['listen [::]:80;', `listen [::1]:${httpPort};`],
    ['listen 443 ssl;', `listen 127.0.0.1:${httpsPort} ssl;`],
    ['listen [::]:443 ssl;', `listen [::1]:${httpsPort} ssl;`],
    ['/etc/ssl/lurkbot/fullchain.pem', cert],
    ['/etc/ssl/lurkbot/privkey.pem', key],
    ['127.0.0.1:18789', `127.0.0.1:${gatewayPort}`],
  ],
  main: ({ folder }, shipped) =>
    [
      // Its workers would give up root's rights, and with them the test's folder.
      process.getuid?.() === 0 ? 'user root;' : '',
      'daemon off;',
      'worker_processes 1;',
      `pid ${join(folder, 'nginx.pid')};`,
      'error_log stderr warn;',
      'events { worker_connections 256; }',
      'http {',
      '  access_log off;',
      `  client_body_temp_path ${join(folder, 'body')};`,
      `  proxy_temp_path ${join(folder, 'proxy')};`,
      `  include ${shipped};`,
      '}',
      '',
    ].join('\n'),
  check: (config, { folder }) => ['/usr/sbin/nginx', '-t', '-p', folder, '-c', config],
  start: (config, { folder }) => ['/usr/sbin/nginx', '-p', folder, '-c', config],
  reload: () => 'SIGHUP',
})
