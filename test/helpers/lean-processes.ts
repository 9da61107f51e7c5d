import module from 'node:module'
import processOnSpawn from 'process-on-spawn'

// Loaded into every test file, before what tap loads (.taprc). tap follows which files each process and thread of a test loads, and nobody
// reads that: with it, a gateway takes twice the time to start, and a journal's thread ten times.
const isTaps = (text: string) => text.includes('/@tapjs/processinfo/')

type Hooks = { readonly load?: { readonly name: string } }
/** Node 20 has no `registerHooks`; from 24.13 on tap uses it instead of `register`. */
const loading = module as unknown as {
  register(specifier: string | URL, parent: string | URL | { readonly parentURL: string | URL }): void
  registerHooks?(hooks: Hooks): { deregister(): void }
}
const { register, registerHooks } = loading
loading.register = (specifier, parent) => {
  if (!isTaps(`${specifier}`)) register.call(module, specifier, parent)
}
if (registerHooks !== undefined) {
  loading.registerHooks = (hooks) =>
    hooks.load?.name === 'loadSync' ? { deregister() {} } : registerHooks.call(module, hooks)
}

// The processes that a test starts are none of tap's concern, nor of this file's.
processOnSpawn.addListener = () => {}
const kept = (process.env.NODE_OPTIONS ?? '')
  .split(/\s+/)
  .filter((option) => !isTaps(option) && !option.includes('/lean-processes.js'))
if (kept.length > 0) process.env.NODE_OPTIONS = kept.join(' ')
else delete process.env.NODE_OPTIONS
