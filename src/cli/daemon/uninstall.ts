import { existsSync } from 'node:fs'
import { EXIT, type ExitCode } from '../exit-codes.js'
import { findService, type ServiceOptions } from './create-service.js'
import { refuseOther } from './owner.js'

/** `lurkbot daemon uninstall`: ends the service and removes what `install` made; never the state folder. */
export async function uninstall(options: ServiceOptions): Promise<ExitCode> {
  const found = findService(options)
  await refuseOther(found, 'uninstall')
  const { place, service } = found
  const removed = await service.uninstall()
  const { kind, name } = service
  const left = [place.home, place.environmentFile, `${service.path}.d`].filter(
    (path) => existsSync(path) && !(path.startsWith(`${place.home}/`) && path !== place.home),
  )
  if (options.json) {
    console.log(JSON.stringify({ kind, name, removed, left }, null, 2))
    return EXIT.OK
  }
  console.log(removed.length === 0 ? `There was no ${kind} ${name}.` : `The ${kind} ${name} is gone.`)
  for (const path of removed) console.log(`  removed   ${path}`)
  for (const path of left) console.log(`  left      ${path}`)
  return EXIT.OK
}
