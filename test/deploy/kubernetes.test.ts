import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config/load.js'
import { judgeTokens } from '../../src/doctor/tokens.js'
import { stopLimitMs } from '../../src/lifecycle/stop-limit.js'
import { startApp, temporaryFolder } from '../helpers/app.js'
import { runCli } from '../helpers/gateway-process.js'
import {
  build,
  exists,
  filesIn,
  filesOf,
  type Manifest,
  problemOf,
  ROOT,
  read,
  readKustomization,
  readManifests,
} from './manifests.js'

const FOLDER = 'deploy/kubernetes'
const FOLDERS = ['base', 'monitoring', 'overlays/example'].map((name) => `${FOLDER}/${name}`)
const SECRET = `${FOLDER}/base/secret.example.yaml`
/** What the time of a container's end, and a busy node, take besides. */
const MARGIN_MS = 5_000

const example = build(`${FOLDER}/overlays/example`)
const base = build(`${FOLDER}/base`)
const one = (kind: string, among = base): Manifest => among.find((manifest) => manifest.kind === kind)!
const template = (among = base) => one('StatefulSet', among).spec.template
const container = (among = base) => template(among).spec.containers[0]
const publicPaths: IngressPath[] = one('Ingress', example).spec.rules[0].http.paths
const includes = (labels: Record<string, string> = {}, selector: Record<string, string>) =>
  Object.entries(selector).every(([name, value]) => labels[name] === value)

interface IngressPath {
  readonly path: string
  readonly pathType: 'Exact' | 'Prefix'
  readonly backend: { readonly service: { readonly name: string; readonly port: { readonly name: string } } }
}

/** As Kubernetes has it: a prefix is of whole elements. */
const isPublic = (asked: string) =>
  publicPaths.some(
    ({ path, pathType }) =>
      asked === path || (pathType === 'Prefix' && asked.startsWith(path.replace(/\/?$/, '/'))),
  )

t.test('every manifest fits the schema of its kind', async (t) => {
  const manifests = [...base, ...example, ...readManifests(SECRET)]
  for (const manifest of manifests)
    t.equal(problemOf(manifest), null, `${manifest.kind} ${manifest.metadata.name}`)
  const broken = { ...one('PodDisruptionBudget'), spec: { maxUnavailable: {} } }
  t.type(problemOf(broken), 'string', 'the schemas refuse what is wrong')
  for (const kind of [
    'StatefulSet',
    'Service',
    'Ingress',
    'NetworkPolicy',
    'PodDisruptionBudget',
    'ServiceMonitor',
  ]) {
    t.ok(one(kind, example), kind)
  }
})

t.test('the rules for Prometheus become a PrometheusRule as the docs have it', async (t) => {
  const [, head, file] = /printf '(.*)'\n +sed 's\/\^\/ {2}\/' (\S+);/.exec(read('docs/deploy.md'))!
  const rule = parse(head!.replaceAll('\\n', '\n') + read(file!).replaceAll(/^/gm, '  '))
  t.equal(rule.kind, 'PrometheusRule')
  t.equal(problemOf(rule), null)
})

t.test('Kustomizations name every file of their folder, and no other', async (t) => {
  for (const folder of FOLDERS) {
    const named = filesOf(readKustomization(folder))
    for (const file of named) t.ok(exists(folder, file), `${folder}/${file}`)
    t.same(filesIn(folder).sort(), named.filter((file) => !file.startsWith('..')).sort(), folder)
  }
})

t.test('what refers to something finds it', async (t) => {
  const { labels } = template().metadata
  const services = base.filter(({ kind }) => kind === 'Service')
  const { selector, serviceName } = one('StatefulSet').spec
  t.ok(includes(labels, selector.matchLabels))
  t.ok(includes(labels, one('PodDisruptionBudget').spec.selector.matchLabels))
  t.ok(includes(labels, one('NetworkPolicy').spec.podSelector.matchLabels))
  t.ok(services.some(({ metadata, spec }) => metadata.name === serviceName && spec.clusterIP === 'None'))

  const ports = container().ports.map(({ name }: { name: string }) => name)
  for (const { metadata, spec } of services) {
    t.ok(includes(labels, spec.selector), metadata.name)
    t.ok(ports.includes(spec.ports[0].targetPort), metadata.name)
  }
  t.ok(ports.includes(one('NetworkPolicy').spec.ingress[0].ports[0].port))

  const scraped = one('ServiceMonitor', example).spec
  const monitored = services.filter(({ metadata }) => includes(metadata.labels, scraped.selector.matchLabels))
  t.equal(monitored.length, 1, 'a pod is scraped once')
  t.equal(monitored[0]!.spec.ports[0].name, scraped.endpoints[0].port)
  t.equal(monitored[0]!.metadata.labels![scraped.jobLabel], 'lurkbot')

  for (const { path, backend } of publicPaths) {
    const service = services.find(({ metadata }) => metadata.name === backend.service.name)
    t.match(service?.spec.ports, [{ name: backend.service.port.name }], path)
  }

  const secret = readManifests(SECRET)[0]!
  const references = container().env.flatMap(
    (entry: { valueFrom?: { secretKeyRef: unknown } }) => entry.valueFrom?.secretKeyRef ?? [],
  )
  for (const { name, key } of [...references, scraped.endpoints[0].authorization.credentials]) {
    t.equal(name, secret.metadata.name)
    t.ok(key in secret.stringData, key)
  }
  const claims = one('StatefulSet').spec.volumeClaimTemplates
  const volumes = [...template().spec.volumes, ...claims.map(({ metadata }: Manifest) => metadata)]
  for (const { name } of container().volumeMounts)
    t.ok(
      volumes.some((volume) => volume.name === name),
      name,
    )
  t.equal(template().spec.volumes[0].configMap.name, one('ConfigMap').metadata.name)
  t.equal(template().spec.serviceAccountName, one('ServiceAccount').metadata.name)
})

t.test('the Ingress lets in to what is public, and to nothing else', async (t) => {
  const { app } = await startApp(t)
  const { paths } = (await app.inject('/openapi.json')).json()
  // The short names of /health/live and /health/ready are for load balancers that ask the pod.
  const inside = ['/health', '/metrics', '/live', '/ready']
  for (const path of Object.keys(paths)) t.equal(isPublic(path), !inside.includes(path), path)
  for (const path of inside) t.ok(path in paths, path)
  for (const path of ['/', '/ws', '/asyncapi.json', '/channels/tg']) t.ok(isPublic(path), path)
})

t.test('what agents leave behind is reaped by the pod’s first process', async (t) => {
  t.equal(template().spec.shareProcessNamespace, true)
})

t.test('the pod fits the restricted profile, and nothing of it can be written but its state', async (t) => {
  const { spec } = template()
  t.match(spec.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
  t.ok(spec.securityContext.runAsUser > 0)
  t.match(container().securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
  t.equal(spec.automountServiceAccountToken, false)
  const writable = container().volumeMounts.filter(({ readOnly = false }) => !readOnly)
  t.same(
    writable.map(({ mountPath }: { mountPath: string }) => mountPath),
    ['/data', '/tmp'],
  )
  t.match(
    spec.securityContext,
    { fsGroupChangePolicy: 'OnRootMismatch' },
    'a token stays readable by its owner only',
  )
  t.equal(one('StatefulSet').spec.replicas, 1, 'the journal is one node’s')
})

for (const folder of ['base', 'overlays/example']) {
  t.test(`the configuration of ${folder} is one, and its stop fits the grace of the pod`, async (t) => {
    const manifests = folder === 'base' ? base : example
    const home = await temporaryFolder(t)
    const file = join(ROOT, FOLDER, folder, 'config.yaml')
    const tokens = readManifests(SECRET)[0]!.stringData.tokens
    const { config } = await loadConfig({
      env: { LURKBOT_GATEWAY__AUTH__TOKENS: tokens, LURKBOT_HOME: home },
      configPath: file,
      isTTY: false,
    })
    const [port] = container(manifests).ports
    t.match(config, {
      host: '0.0.0.0',
      port: port.containerPort,
      auth: { tokens: [{}, { scopes: ['read'] }] },
    })
    const sample = { severity: 'error', message: /sample value/ }
    t.match([...judgeTokens(config)], [sample, sample])
    const { lifecycle } = container(manifests)
    const [command, seconds] = lifecycle.preStop.exec.command
    t.equal(command, 'sleep')
    const graceMs = template(manifests).spec.terminationGracePeriodSeconds * 1_000
    t.ok(graceMs >= Number(seconds) * 1_000 + stopLimitMs(config) + MARGIN_MS)
    const { periodSeconds } = container(manifests).readinessProbe
    t.ok(periodSeconds * 1_000 < config.overload.loopDelayWindowMs, 'no delay of the event loop is missed')
  })
}

t.test('`config check` takes the configuration with the secrets of the example', async (t) => {
  const home = await temporaryFolder(t)
  const file = join(ROOT, FOLDER, 'base/config.yaml')
  const env = { LURKBOT_GATEWAY__AUTH__TOKENS: readManifests(SECRET)[0]!.stringData.tokens }
  t.match(await runCli(['config', 'check', '--config', file], { home, env }), { code: 0, stderr: '' })
})

t.test('what probes and Prometheus ask for is answered', async (t) => {
  const { app } = await startApp(t)
  const { startupProbe, livenessProbe, readinessProbe } = container()
  for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) {
    t.equal((await app.inject(httpGet.path)).statusCode, 200, httpGet.path)
  }
  t.equal((await app.inject(one('ServiceMonitor', example).spec.endpoints[0].path)).statusCode, 200)
})
