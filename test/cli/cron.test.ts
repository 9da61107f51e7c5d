import t from 'tap'
import { runCli } from '../helpers/gateway-process.js'
import { gateway } from './running.js'

t.test('jobs are added, looked at, run and removed from the command line', async (t) => {
  const { home } = await gateway(t)
  const cron = (...args: string[]) => runCli(['cron', ...args], { home })
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await cron(...args)
    t.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }
  const daily = ['--cron', '0 9 * * *', '--time-zone', 'UTC', '--message', 'hello']
  t.match(
    await ok('add', 'daily', ...daily),
    /^job_\S+ {2}daily {2}0 9 \* \* \* \(UTC\) {2}next \S+T09:00:00Z/,
  )
  const args = ['--at', '+1h', '--event', 'x', '--session', 'web:1', '--delete-after-run', '--json']
  const { job } = JSON.parse(await ok('add', ...args))
  t.match(job, { sessionKey: 'web:1', deleteAfterRun: true, payload: { kind: 'systemEvent', text: 'x' } })
  t.match(await ok('run', 'daily'), /^Runs as run_\S+ in cron:job_\S+:main\.\n$/)
  t.match(await ok('runs', 'daily'), /^\S+Z {2}manual {2}(queued|completed)/)
  t.match(
    await ok('list', '--session', 'web:1'),
    new RegExp(`^${job.jobId} {2}- {2}once {2}next \\S+ {2}has not run`),
  )
  t.match(await ok('remove', job.jobId), `Removed ${job.jobId}.`)
  t.match(await cron('run', job.jobId), { code: 1, stderr: `no job '${job.jobId}'` })
})

t.test('what is wrong with a job is said', async (t) => {
  const { home } = await gateway(t)
  const every = ['add', '--every', '1h']
  const [none, what, where, wrong] = await Promise.all(
    [
      ['add', '--message', 'x'],
      every,
      [...every, '--message', 'x', '--deliver', 'chat'],
      ['add', '--cron', '99 * * * *', '--message', 'x'],
    ].map((args) => runCli(['cron', ...args], { home })),
  )
  t.match(none, { code: 64, stderr: /One of --at, --every and --cron/ })
  t.match(what, { code: 64, stderr: /One of --message and --event/ })
  t.match(where, { code: 64, stderr: /--deliver/ })
  const expected = /INVALID_REQUEST: params\.schedule\.cron: expected a cron expression .*minute/
  t.match(wrong, { code: 1, stderr: expected })
})
