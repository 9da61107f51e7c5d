import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { renderUnit } from '../cli/daemon/systemd-unit.js'
import { loadConfig } from '../config/load.js'
import { stopLimitMs } from '../lifecycle/stop-limit.js'

/** The files of `deploy/` that are made as those that `lurkbot` itself makes. `folder` is that of the package. */
export async function renderDeployFiles(
  folder: string,
): Promise<{ readonly file: string; readonly found: string; readonly wanted: string }[]> {
  const file = join(folder, 'deploy/systemd/lurkbot.service')
  return [{ file, found: await readFile(file, 'utf8').catch(() => ''), wanted: await systemUnit() }]
}

/** For a checkout in /opt/lurkbot, and for the oldest systemd that is supported. */
async function systemUnit(): Promise<string> {
  const { config } = await loadConfig({ env: {}, home: '/var/lib/lurkbot', cwd: '/' })
  const unit = renderUnit(
    {
      profile: null,
      home: '/var/lib/lurkbot',
      node: '/usr/bin/node',
      program: '/opt/lurkbot/dist/src/cli/main.js',
      environmentFile: '/etc/lurkbot/environment',
      stopTimeoutMs: stopLimitMs(config),
      writable: [],
    },
    { scope: 'system', version: 252 },
  )
  return `# For /etc/systemd/system. What has to be where is in docs/operations.md, "As a service". Written by npm run docs.\n${unit}`
}
