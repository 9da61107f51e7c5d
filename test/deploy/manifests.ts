import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, parseAllDocuments } from 'yaml'

/** The repository; this file is compiled to dist/test/deploy. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

export const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
export const readYaml = (path: string) => parse(read(path), { merge: true })

export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> }
  // biome-ignore lint/suspicious/noExplicitAny: its schema is checked by `problemsOf`, and tests look into it
  [field: string]: any
}

export const readManifests = (path: string): Manifest[] =>
  parseAllDocuments(read(path)).map((document) => document.toJS())

const require = createRequire(import.meta.url)

type Model = new (manifest: Manifest) => { validate(): void }

/** What a manifest's schema says against it; null: nothing. The schemas come from Kubernetes and the Prometheus operator. */
export function problemOf(manifest: Manifest): string | null {
  const { apiVersion, kind } = manifest
  const family = apiVersion.startsWith('monitoring.coreos.com/')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models'
  try {
    const { [kind]: KindModel } = require(`${family}/${apiVersion}/${kind}`) as Record<string, Model>
    new KindModel!(manifest).validate()
    return null
  } catch (error) {
    return `${kind} ${manifest.metadata.name}: ${error instanceof Error ? error.message : error}`
  }
}

export interface Kustomization {
  readonly resources?: readonly string[]
  readonly patches?: readonly { readonly path: string; readonly target: { readonly kind: string } }[]
  readonly configMapGenerator?: readonly { readonly name: string; readonly files: readonly string[] }[]
  readonly namespace?: string
}

export const readKustomization = (folder: string): Kustomization => readYaml(`${folder}/kustomization.yaml`)

/** Every file that a Kustomization names, relative to its folder. */
export function filesOf({ resources = [], patches = [], configMapGenerator = [] }: Kustomization): string[] {
  return [
    ...resources,
    ...patches.map(({ path }) => path),
    ...configMapGenerator.flatMap(({ files }) => files),
  ]
}

/**
 * What a Kustomization makes, as far as the ones here need it: resources, those of other folders, JSON patches by kind. Names,
 * images and namespaces stay as they are, and generated ConfigMaps have no hash.
 */
export function build(folder: string): Manifest[] {
  const { resources = [], patches = [], configMapGenerator = [] } = readKustomization(folder)
  const made = resources.flatMap((resource) => {
    const path = join(folder, resource)
    return statSync(join(ROOT, path)).isDirectory() ? build(path) : readManifests(path)
  })
  for (const { name, files } of configMapGenerator) {
    const data = Object.fromEntries(files.map((file) => [file, read(join(folder, file))]))
    const former = made.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name)
    if (former !== undefined) former.data = data
    else made.push({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data })
  }
  for (const { path, target } of patches) {
    const operations = readYaml(join(folder, path)) as {
      op: 'add' | 'replace'
      path: string
      value: unknown
    }[]
    for (const manifest of made.filter(({ kind }) => kind === target.kind)) {
      for (const operation of operations) apply(manifest, operation)
    }
  }
  return made
}

/** RFC 6902, `add` to objects and `replace`. */
function apply(manifest: Manifest, { op, path, value }: { op: string; path: string; value: unknown }): void {
  const keys = path.split('/').slice(1)
  const last = keys.pop()!
  let at: Record<string, unknown> = manifest
  for (const key of keys) at = at[key] as Record<string, unknown>
  if (op !== 'add' && !(op === 'replace' && last in at)) throw new Error(`cannot ${op} ${path}`)
  at[last] = value
}

/** The files of a folder but examples of secrets, which nothing may apply. */
export const filesIn = (folder: string): string[] =>
  readdirSync(join(ROOT, folder)).filter(
    (name) => !name.endsWith('.example.yaml') && name !== 'kustomization.yaml',
  )

export const exists = (folder: string, path: string): boolean => existsSync(resolve(ROOT, folder, path))
