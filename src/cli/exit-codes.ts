/** Every exit code of `lurkbot`; those from 64 up are those of sysexits.h. `docs/cli.md` has the same table. */
export const EXIT = {
  OK: 0,
  /** The command was understood and failed: an error answer, a gateway that does not stop, a crash. */
  FAILED: 1,
  /** `status`, `restart`: no gateway is running; `logs`: and there is no log file either. */
  NOT_RUNNING: 3,
  /** The command line is wrong: an unknown option, parameters that are no JSON. */
  USAGE: 64,
  /** The port is taken, a gateway of this state folder runs already, or no gateway answers. */
  UNAVAILABLE: 69,
  /** The token was refused or does not allow it, or the system does not allow the port or the signal. */
  NO_PERMISSION: 77,
  /** The configuration has problems (`restart`: and nothing has changed), or names an address that this machine does not have. */
  CONFIG: 78,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]
