/**
 * What applies while the gateway runs; everything else waits for a restart. The one place that says so: `config.*` answers by it,
 * and docs/config.md shows it. A prefix covers all that is below; the longest that fits decides.
 */
const LIVE: Readonly<Record<string, boolean>> = {
  'auth.tokens': true,
  'auth.limits': true,
  'auth.allowedOrigins': true,
  'auth.allowedHosts': true,
  'log.level': true,
  'connection.maxInFlight': true,
  'connection.maxConnections': true,
  rateLimit: true,
  lanes: true,
  overload: true,
  'sessions.historyLimit': true,
  'hooks.timeoutMs': true,
  agents: true,
  defaultAgent: true,
  routing: true,
  connectors: true,
  channels: true,
  // Connectors are made with them.
  'channels.maxAttachmentBytes': false,
  'channels.questions': false,
  configFile: true,
  cron: true,
}

/** Whether a change of the setting at `path` (`lanes.capacity`, `agents.helper`) applies without a restart. */
export function isLive(path: string): boolean {
  for (let prefix = path; prefix !== ''; prefix = parentOf(prefix)) {
    if (Object.hasOwn(LIVE, prefix)) return LIVE[prefix]!
  }
  return false
}

/** Whether `path` is `prefix` or below it. */
export function isBelow(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false
  return path.length === prefix.length || prefix === '' || /[.[]/.test(path[prefix.length]!)
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('.'), path.lastIndexOf('['), 0))
}
