import { age, count, ms, section } from './schema-kinds.js'

/** Schedules and their runs. */
export const Cron = section(
  {
    maxJobs: count(10_000, 'Jobs in all; more are refused.'),
    maxRunsKept: count(50, 'Runs of one job that are remembered; older ones are forgotten.'),
    runRetentionMs: age(604_800_000, 'How long a run is remembered at most.', 60_000),
    misfireGraceMs: ms(
      60_000,
      'How late a run may begin and still be on time; later its time counts as missed.',
      1_000,
    ),
    maxCatchUp: count(
      100,
      'With `misfire: all`: missed times of one job that are made up for, the newest ones.',
    ),
    maxQueued: count(10, 'With `overlap: queue`, or by `cron.run`: runs of one job that have not ended.'),
  },
  'Scheduled jobs.',
)
