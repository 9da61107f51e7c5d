/** What to add where something does not come through, for each of the usual proxies. */
export const LINES = {
  upgrade: [
    'nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
    'haproxy, caddy: pass it on by themselves; look for a rule that removes the headers Upgrade and Connection',
  ],
  host: [
    'nginx: proxy_set_header Host $http_host;',
    'haproxy: remove http-request set-header Host',
    'caddy: remove header_up Host',
  ],
  address: [
    'nginx: proxy_set_header X-Forwarded-For $remote_addr;',
    'haproxy: option forwardfor, after http-request del-header X-Forwarded-For',
    'caddy: sets it by itself; remove header_up X-Forwarded-For',
    'gateway: trustProxy: ["127.0.0.1"], or where the proxy is',
  ],
} as const

export const lines = (name: keyof typeof LINES): string => LINES[name].join('\n')
