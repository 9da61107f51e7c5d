import { dirname } from 'node:path'
import { ownerOf } from './owner.js'
import type { ServiceOwner, ServicePlace, ServicePlan } from './service-manager.js'

/** `user`: of the one who installs it; `system`: of the machine, under a user of its own that nothing else has. */
export type Scope = 'user' | 'system'

export type UnitSpec = ServicePlace & ServicePlan

export interface UnitOptions {
  readonly scope: Scope
  /** Of the systemd that is to read it: 252 in Debian 12. */
  readonly version: number
}

/** The first version that knows delays which grow. */
const GROWING_DELAYS = 254

export function unitName({ profile }: Pick<ServicePlace, 'profile'>): string {
  return profile === null ? 'lurkbot-gateway' : `lurkbot-gateway-${profile}`
}

/** The text of the unit: systemd.unit(5), .service(5), .exec(5), .kill(5). */
export function renderUnit(spec: UnitSpec, options: UnitOptions): string {
  const { profile } = spec
  const isSystem = options.scope === 'system'
  const title = profile === null ? 'LurkBot gateway' : `LurkBot gateway, profile ${profile}`
  return `[Unit]
Description=${title}
${isSystem ? 'Wants=network-online.target\nAfter=network-online.target\n' : ''}# It is never given up: RestartSec keeps it from spinning, and what cannot get better by itself is not tried again.
StartLimitIntervalSec=0

[Service]
${serviceLines(spec, options)}

${hardeningLines(spec, options)}

[Install]
WantedBy=${isSystem ? 'multi-user.target' : 'default.target'}
`
}

function serviceLines(spec: UnitSpec, { scope, version }: UnitOptions): string {
  const isSystem = scope === 'system'
  const { home, profile, node, program, environmentFile, stopTimeoutMs } = spec
  const { variable, value } = ownerOf({ home, profile: isSystem ? null : profile })
  const path = [isSystem ? '' : '%h/.local/bin', dirname(node), '/usr/local/bin', '/usr/bin', '/bin']
  const unique = [...new Set(path.filter(Boolean))].map((entry) =>
    entry === '%h/.local/bin' ? entry : plain(entry),
  )
  return `Type=notify
# The gateway tells how it is through systemd-notify, a process of its own: neither main nor exec admits that.
NotifyAccess=all
ExecStart=${[word(node), commandWord(program), 'gateway start'].join(' ')}
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'
Environment=${word(`${variable}=${value}`)}
Environment="PATH=${unique.join(':')}"
# Secrets, as lines NAME=value; readable by its owner only.
EnvironmentFile=-${plain(environmentFile)}
${isSystem ? systemLines(home) : ''}UMask=0077

Restart=on-failure
${version >= GROWING_DELAYS ? 'RestartSec=1s\nRestartSteps=6\nRestartMaxDelaySec=1min' : '# From systemd 254 on the delay could grow: RestartSteps= and RestartMaxDelaySec=.\nRestartSec=5s'}
# A wrong command line, a port that is not allowed, a configuration with problems.
RestartPreventExitStatus=64 77 78
# A recovery that takes longer asks for more time while it goes on.
TimeoutStartSec=90s
# Longer than shutdown.drainTimeoutMs, the grace after it and shutdown.closeTimeoutMs; the gateway asks for more where those have grown.
TimeoutStopSec=${Math.ceil(stopTimeoutMs / 1_000) + 5}s
# It says so itself every 15 s, as long as its event loop turns.
WatchdogSec=30s
# Only the gateway is asked to stop: it ends its agents itself, and what is left after it is killed.
KillMode=mixed
# An agent that runs out of memory is a failed run, not the end of the gateway.
OOMPolicy=continue
# Memory holds tokens and conversations.
LimitCORE=0`
}

function systemLines(home: string): string {
  const name = home.slice(home.lastIndexOf('/') + 1)
  return `DynamicUser=yes
StateDirectory=${name}
StateDirectoryMode=0700
WorkingDirectory=${plain(home)}
Environment=${word(`HOME=${home}`)}
`
}

function hardeningLines(spec: UnitSpec, { scope }: UnitOptions): string {
  const paths = [spec.home, spec.node, spec.program, ...spec.writable]
  const inTemporary = paths.some((path) => /^\/(var\/)?tmp(\/|$)/.test(path))
  // StateDirectory= makes the state folder of the system's unit writable.
  const writable = [...(scope === 'system' ? [] : [spec.home]), ...spec.writable.map((path) => `-${path}`)]
  const lines = [
    '# What it may do. Agents are its children and have the same limits.',
    '# MemoryDenyWriteExecute= has to stay off: V8 writes the code that it runs.',
    'NoNewPrivileges=yes',
    'ProtectSystem=strict',
    ...(writable.length === 0 ? [] : [`ReadWritePaths=${writable.map(word).join(' ')}`]),
    inTemporary
      ? '# PrivateTmp= would hide what lies in the folder for temporary files: the state folder or the program.'
      : 'PrivateTmp=yes',
    'ProtectControlGroups=yes',
    'ProtectKernelTunables=yes',
    '# AF_NETLINK: the addresses of this machine.',
    'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'LockPersonality=yes',
    'SystemCallArchitectures=native',
    'SystemCallFilter=@system-service',
    'SystemCallErrorNumber=EPERM',
  ]
  return (scope === 'system' ? [...lines, ...SYSTEM_HARDENING] : lines).join('\n')
}

/** What takes privileges that the manager of a user does not have: there a unit with them does not start. */
const SYSTEM_HARDENING = [
  '# A port below 1024 takes CAP_NET_BIND_SERVICE here, and AmbientCapabilities=CAP_NET_BIND_SERVICE.',
  'CapabilityBoundingSet=',
  'PrivateDevices=yes',
  'ProtectClock=yes',
  'ProtectHome=yes',
  'ProtectHostname=yes',
  'ProtectKernelLogs=yes',
  'ProtectKernelModules=yes',
  'ProtectProc=invisible',
  'RestrictNamespaces=yes',
]

/** `%` begins a specifier. */
const plain = (text: string) => text.replaceAll('%', '%%')

/** One word, quoted where it has to be. */
function word(text: string): string {
  const escaped = plain(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')
  return /[\s"'\\;]/.test(text) ? `"${escaped}"` : escaped
}

/** Which gateway a unit is of; the reverse of `word`. */
export function unitOwner(unit: string): ServiceOwner | null {
  const found = /^Environment="?(LURKBOT_HOME|LURKBOT_PROFILE)=(.+?)"?$/m.exec(unit)
  if (found === null) return null
  const value = found[2]!.replace(/\\(["\\])/g, '$1').replaceAll('%%', '%')
  return { variable: found[1] as ServiceOwner['variable'], value }
}

/** `$` begins a variable in the arguments of a command, though not in its name. */
const commandWord = (text: string) => word(text).replaceAll('$', '$$$$')
