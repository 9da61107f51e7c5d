import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { logPaths } from '../../logs/paths.js'
import { ownerOf } from './owner.js'
import type { ServiceOwner, ServicePlace, ServicePlan } from './service-manager.js'
import { text, xml } from './xml.js'

export function launchdLabel({ profile }: Pick<ServicePlace, 'profile'>): string {
  return profile === null ? 'lurkbot.gateway' : `lurkbot.gateway.${profile}`
}

/** What launchd.plist(5) knows, as the values of a property list. */
type Plist = string | number | boolean | readonly string[] | { readonly [key: string]: Plist }

/** The text of the agent: launchd.plist(5). */
export function renderPlist(place: ServicePlace, plan: ServicePlan, hasEnvironmentFile: boolean): string {
  const { home, node, program, environmentFile } = place
  const { variable, value } = ownerOf(place)
  const { errorFile } = logPaths(home)
  const path = [
    join(homedir(), '.local/bin'),
    dirname(node),
    '/opt/homebrew/bin',
    '/usr/local/bin',
    '/usr/bin',
    '/bin',
  ]
  const agent: Plist = {
    Label: launchdLabel(place),
    ProgramArguments: [
      node,
      ...(hasEnvironmentFile ? [`--env-file=${environmentFile}`] : []),
      program,
      'gateway',
      'start',
      '--detached',
    ],
    EnvironmentVariables: {
      [variable]: value,
      PATH: [...new Set(path)].join(':'),
    },
    RunAtLoad: true,
    // Not after `gateway stop`, which exits with 0.
    KeepAlive: { SuccessfulExit: false },
    // The shortest time between two starts; seconds.
    ThrottleInterval: 10,
    ExitTimeOut: Math.ceil(plan.stopTimeoutMs / 1_000) + 5,
    Umask: 0o077,
    // The log is a file of the gateway's own; here is what it says outside of that.
    StandardOutPath: errorFile,
    StandardErrorPath: errorFile,
  }
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
${element(agent, '')}
</plist>
`
}

/** Which gateway an agent is of. */
export function plistOwner(plist: string): ServiceOwner | null {
  const found = /<key>(LURKBOT_HOME|LURKBOT_PROFILE)<\/key>\s*<string>([^<]*)<\/string>/.exec(plist)
  if (found === null) return null
  return { variable: found[1] as ServiceOwner['variable'], value: text(found[2]!) }
}

function element(value: Plist, indent: string): string {
  const inner = `${indent}  `
  if (typeof value === 'string') return `${indent}<string>${xml(value)}</string>`
  if (typeof value === 'number') return `${indent}<integer>${value}</integer>`
  if (typeof value === 'boolean') return `${indent}<${value}/>`
  if (Array.isArray(value)) {
    return [
      `${indent}<array>`,
      ...value.map((item: string) => element(item, inner)),
      `${indent}</array>`,
    ].join('\n')
  }
  const entries = Object.entries(value).map(
    ([key, item]) => `${inner}<key>${xml(key)}</key>\n${element(item as Plist, inner)}`,
  )
  return [`${indent}<dict>`, ...entries, `${indent}</dict>`].join('\n')
}
