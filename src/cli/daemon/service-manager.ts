import type { ExitCode } from '../exit-codes.js'

/** What runs, and as what. Paths are absolute. */
export interface ServicePlace {
  /** Null: the one without a name. */
  readonly profile: string | null
  /** The state folder. */
  readonly home: string
  /** `process.execPath`. */
  readonly node: string
  /** `main.js` of this installation. */
  readonly program: string
  /** Lines `NAME=value` with what is secret; it need not exist. */
  readonly environmentFile: string
}

/** What of the configuration is part of the definition. */
export interface ServicePlan {
  /** What a stop may take before the service is killed; milliseconds. */
  readonly stopTimeoutMs: number
  /** Folders beside the state folder: those that agents work in, and that of a journal elsewhere. */
  readonly writable: readonly string[]
}

/** Which gateway a definition is of, as it says it itself. */
export interface ServiceOwner {
  readonly variable: 'LURKBOT_HOME' | 'LURKBOT_PROFILE'
  readonly value: string
}

export interface ServiceStatus {
  readonly installed: boolean
  /** Whether it starts with the system or the session. */
  readonly enabled: boolean
  /** `failed`: it has ended and was not meant to. */
  readonly state: 'running' | 'starting' | 'stopping' | 'stopped' | 'failed'
  readonly pid: number | null
  /** What the service manager has to say beside this, or why it failed. */
  readonly detail: string | null
  /** The exit code of one that failed, or that has ended and is started again. */
  readonly exitCode: ExitCode | null
}

export type Installed = 'installed' | 'updated' | 'unchanged'

/** Runs the gateway as a service of the user's system. Everything rejects with `CliError`. */
export interface ServiceManager {
  /** For people: what it is here. */
  readonly kind: string
  /** The name that the system knows the service by. */
  readonly name: string
  /** The file that defines it. */
  readonly path: string
  /** How to see what it logs. */
  readonly logCommand: string
  /** The text of `path`. */
  definition(plan: ServicePlan): Promise<string>
  /** Of the definition that is installed; null: there is none, or it names no gateway. */
  owner(): Promise<ServiceOwner | null>
  /** Writes the definition and lets it start with the system or the session. Twice is fine. */
  install(plan: ServicePlan): Promise<Installed>
  /** Ends it and removes every file that `install` made, which it names. Twice is fine. */
  uninstall(): Promise<readonly string[]>
  /** Resolves when it has begun; where the system can tell, when it is ready. */
  start(): Promise<void>
  /** Resolves when it was told to stop; where the system can tell, when it has. */
  stop(): Promise<void>
  /** As `start`, with what is on the disk now. */
  restart(): Promise<void>
  status(): Promise<ServiceStatus>
  /** What the user should know of after an installation, with the command that mends it. */
  advice(): Promise<readonly string[]>
}

export interface CommandResult {
  /** 127: there is no such program, as shells have it. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program of the system and waits for its end; never rejects. */
export type Run = (program: string, args: readonly string[]) => Promise<CommandResult>
