import { PUBLIC_NAME } from '../helpers/reverse-proxy.js'
import { proxySuite } from './proxy-suite.js'

const certificate = '/etc/ssl/lurkbot/fullchain.pem /etc/ssl/lurkbot/privkey.pem'

proxySuite({
  name: 'caddy',
  files: { root: 'caddy/Caddyfile', path: 'caddy/Caddyfile.path' },
  idleTimeout: null,
  keepsOnReload: false,
  probes: true,
  changes: ({ httpPort, httpsPort, adminPort, cert, key, gatewayPort }) => [
    [
      'grace_period 10s',
      [
        'grace_period 1s',
        `admin localhost:${adminPort}`,
        `http_port ${httpPort}`,
        `https_port ${httpsPort}`,
        // For `localhost` it would make an authority of its own, and have this machine trust it.
        'auto_https disable_certs',
        'skip_install_trust',
      ].join('\n\t'),
    ],
    [`\n${PUBLIC_NAME} {`, `\n${PUBLIC_NAME}, localhost {`],
    [`# tls ${certificate}`, `tls ${cert} ${key}`],
    ['127.0.0.1:18789', `127.0.0.1:${gatewayPort}`],
    ['health_interval 2s', 'health_interval 200ms'],
    ['lb_try_duration 2s', 'lb_try_duration 500ms'],
  ],
  check: (config, { folder }) => caddy(folder, 'validate', config),
  start: (config, { folder }) => caddy(folder, 'run', config),
  reload: (config, { folder }) => caddy(folder, 'reload', config),
})

/** What it keeps goes into the test's folder. */
function caddy(folder: string, command: string, config: string): [string, ...string[]] {
  const environment = [`HOME=${folder}`, `XDG_DATA_HOME=${folder}`, `XDG_CONFIG_HOME=${folder}`]
  return ['/usr/bin/env', ...environment, 'caddy', command, '--config', config, '--adapter', 'caddyfile']
}
