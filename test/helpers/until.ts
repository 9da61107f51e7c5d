import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for what has no event of its own. A test that waits in vain ends by its time limit. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(5)
}
