import type { GatewayClient } from '../client/node.js'
import {
  type CronJob,
  cronAdd,
  cronList,
  cronRemove,
  cronRun,
  cronRuns,
  type ParamsOf,
} from '../protocol/index.js'
import { CliError } from './cli-error.js'
import { connect, createCliClient } from './connect.js'
import { describeJob, describeRun, parseDuration, parseTime, table } from './cron-text.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { printable } from './format.js'
import { nextCommands } from './next-command.js'
import { findTarget, type TargetOptions } from './target.js'

export interface CronOptions extends TargetOptions {
  readonly json?: boolean
}

export interface ListOptions extends CronOptions {
  readonly session?: string
}

export interface AddOptions extends ListOptions {
  readonly at?: string
  readonly every?: string
  readonly cron?: string
  readonly timeZone?: string
  readonly message?: string
  readonly event?: string
  readonly agent?: string
  /** True: in the conversation of the session. */
  readonly deliver?: string | true
  readonly thread?: string
  readonly misfire?: string
  readonly overlap?: string
  readonly deleteAfterRun?: boolean
  readonly disabled?: boolean
}

const TIMEOUT_MS = 30_000
const PAGE = 500

/** `lurkbot cron list`. */
export const list = ({ session, ...options }: ListOptions): Promise<ExitCode> =>
  talk(options, async (client) => {
    const jobs = await allJobs(client, session)
    return [
      { jobs, nextCursor: null },
      jobs.length === 0 ? 'There are no jobs.' : table(jobs.map(describeJob)),
    ]
  })

/** `lurkbot cron add`. */
export const add = (name: string | undefined, options: AddOptions): Promise<ExitCode> => {
  const params = paramsOf(name, options)
  return talk(options, async (client) => {
    const result = await client.request(cronAdd, params, of(options.session))
    return [result, table([describeJob(result.job)])]
  })
}

/** `lurkbot cron remove`. */
export const remove = (job: string, options: CronOptions): Promise<ExitCode> =>
  talk(options, async (client) => {
    const { jobId } = await find(client, job)
    return [await client.request(cronRemove, { jobId }, of()), `Removed ${jobId}.`]
  })

/** `lurkbot cron run`. */
export const run = (job: string, options: CronOptions): Promise<ExitCode> =>
  talk(options, async (client) => {
    const { jobId } = await find(client, job)
    const result = await client.request(cronRun, { jobId }, of())
    return [result, `Runs as ${result.run.runId} in ${result.run.sessionKey}.`]
  })

/** `lurkbot cron runs`. */
export const runs = (job: string, options: CronOptions): Promise<ExitCode> =>
  talk(options, async (client) => {
    const jobId = job.startsWith('job_') ? job : (await find(client, job)).jobId
    const result = await client.request(cronRuns, { jobId, limit: PAGE }, of())
    const found = result.runs
    return [result, found.length === 0 ? 'It has not run.' : table(found.map(describeRun))]
  })

/** Prints what `work` finds: for scripts, or for people. */
async function talk(
  { json, ...options }: CronOptions,
  work: (client: GatewayClient) => Promise<readonly [result: unknown, text: string]>,
): Promise<ExitCode> {
  const target = await findTarget(options)
  const client = createCliClient(target, { reconnect: false, subscribe: [], connectTimeoutMs: TIMEOUT_MS })
  await connect(client, target)
  try {
    const [result, text] = await work(client)
    console.log(json ? JSON.stringify(result, null, 2) : printable(text))
    return EXIT.OK
  } finally {
    client.close()
  }
}

const of = (sessionKey?: string) => ({ sessionKey, timeoutMs: TIMEOUT_MS })

async function allJobs(client: GatewayClient, sessionKey?: string): Promise<CronJob[]> {
  const jobs: CronJob[] = []
  let cursor: string | undefined
  do {
    const page = await client.request(cronList, { limit: PAGE, cursor }, of(sessionKey))
    jobs.push(...page.jobs)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  return jobs
}

async function find(client: GatewayClient, idOrName: string): Promise<CronJob> {
  const jobs = await allJobs(client)
  const job = jobs.find(({ jobId }) => jobId === idOrName) ?? jobs.find(({ name }) => name === idOrName)
  if (job !== undefined) return job
  throw new CliError(
    EXIT.FAILED,
    `There is no job '${idOrName}'.`,
    nextCommands([['cron list', 'names them']]),
  )
}

function paramsOf(name: string | undefined, options: AddOptions): ParamsOf<typeof cronAdd> {
  const { message, event, agent, deliver, thread, disabled } = options
  const { at, every, cron, timeZone, misfire, overlap, deleteAfterRun } = options
  if ([at, every, cron].filter((when) => when !== undefined).length !== 1) {
    throw usage('When? One of --at, --every and --cron.')
  }
  if ((message === undefined) === (event === undefined)) throw usage('What? One of --message and --event.')
  const params = {
    name,
    schedule: {
      at: at === undefined ? undefined : parseTime(at, Date.now()),
      everyMs: every === undefined ? undefined : parseDuration(every),
      cron,
      timeZone,
    },
    payload: {
      kind: message === undefined ? 'systemEvent' : 'agentTurn',
      text: event,
      message,
      agent,
      deliver: deliver === undefined ? undefined : addressOf(deliver, thread),
    },
    enabled: disabled ? false : undefined,
    misfire,
    overlap,
    deleteAfterRun,
  }
  // The gateway says what of it is wrong.
  return params as ParamsOf<typeof cronAdd>
}

function addressOf(deliver: string | true, thread: string | undefined) {
  if (deliver === true) return { thread }
  const colon = deliver.indexOf(':')
  if (colon < 1) throw usage(`--deliver: expected CHANNEL:PEER, such as telegram:123456789, got ${deliver}`)
  return { channel: deliver.slice(0, colon), peer: deliver.slice(colon + 1), thread }
}

function usage(message: string): CliError {
  return new CliError(EXIT.USAGE, message, nextCommands([['cron add --help', 'lists the options']]))
}
