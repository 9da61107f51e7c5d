import { win32 } from 'node:path'
import { ownerOf } from './owner.js'
import type { ServiceOwner, ServicePlace } from './service-manager.js'
import { unitName } from './systemd-unit.js'
import { text, xml } from './xml.js'

export interface TaskOptions {
  /** Whose task it is, as `DOMAIN\name`. */
  readonly user: string
  readonly hasEnvironmentFile: boolean
}

/**
 * The definition of the task: https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema. A task has neither
 * environment nor log; the command interpreter gives it both.
 */
export function renderTask(place: ServicePlace, { user, hasEnvironmentFile }: TaskOptions): string {
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>${xml(place.profile === null ? 'LurkBot gateway' : `LurkBot gateway, profile ${place.profile}`)}</Description>
    <URI>\\${unitName(place)}</URI>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
      <UserId>${xml(user)}</UserId>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>${xml(user)}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>5</Priority>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>cmd.exe</Command>
      <Arguments>${xml(commandLine(place, hasEnvironmentFile))}</Arguments>
    </Exec>
  </Actions>
</Task>
`
}

/** `/s`: the outermost quotes go, and what is between them stays as it is. */
function commandLine(place: ServicePlace, hasEnvironmentFile: boolean): string {
  const { home, node, program, environmentFile } = place
  const { variable, value } = ownerOf(place)
  const start = [
    quoted(node),
    ...(hasEnvironmentFile ? [quoted(`--env-file=${environmentFile}`)] : []),
    quoted(program),
    'gateway start --detached',
    `>>${quoted(win32.join(home, 'logs', 'gateway.err.log'))} 2>&1`,
  ].join(' ')
  const steps = [`set "${variable}=${value}"`, start]
  return `/d /s /c "${steps.join('&& ')}"`
}

/** Which gateway a task is of. */
export function taskOwner(task: string): ServiceOwner | null {
  const found = /set "(LURKBOT_HOME|LURKBOT_PROFILE)=([^"]+)"/.exec(text(task))
  return found === null ? null : { variable: found[1] as ServiceOwner['variable'], value: found[2]! }
}

/** Names of files in Windows have no quotes in them. */
const quoted = (text: string) => `"${text}"`
