import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { type Definition, METRICS } from '../../lib/metrics/definitions.ts'
import { PROCESS_METRICS } from '../../lib/metrics/process-definitions.ts'
import { type Json, PROJECT, startTestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { hasPrometheus, run, startPrometheus } from '../helpers/prometheus.ts'

const FOLDER = join(PROJECT, 'deploy/prometheus')
const DEFINED: Record<string, Definition> = { ...METRICS, ...PROCESS_METRICS }
const read = (path: string) => readFileSync(join(PROJECT, path), 'utf8')
const rules: Json[] = parse(read('deploy/prometheus/alerts.yml')).groups.flatMap(
  (group: Json) => group.rules,
)
const names: string[] = rules.map(({ alert }) => alert)

/** The names of metrics of this project in an expression. */
function metricsIn(expr: string): string[] {
  const found = expr.match(/\b(?:db_gateway|nodejs|process)_\w+/g) ?? []
  return [...new Set(found)].map((name) =>
    name in DEFINED ? name : name.replace(/_(?:bucket|sum|count)$/, ''),
  )
}

/** Of the dashboards: the title of each panel with its queries. */
const queries = ['fleet', 'gateway'].flatMap((name) => {
  const { panels, annotations, templating } = JSON.parse(read(`deploy/grafana/${name}.json`))
  const ofPanels = panels.flatMap(({ title, targets = [] }: Json) =>
    targets.map(({ expr }: Json) => ({ where: `${name}: ${title}`, expr: expr as string })),
  )
  const marks = annotations.list.map(({ expr }: Json) => ({ where: `${name}: marks`, expr }))
  const variables = templating.list.flatMap(({ definition }: Json) =>
    definition === undefined ? [] : [{ where: `${name}: variables`, expr: definition }],
  )
  return [...ofPanels, ...marks, ...variables]
}) as { where: string; expr: string }[]

describe('the alerts and dashboards', () => {
  test('use metrics that exist, and labels that these have', () => {
    const exprs = [...queries, ...rules.map(({ alert, expr }) => ({ where: alert, expr }))]
    expect(exprs.length).toBeGreaterThan(100)
    for (const { where, expr } of exprs) {
      const used = metricsIn(expr)
      if (where !== 'DbGatewayDown') expect(used, where).not.toEqual([])
      expect(
        used.filter((name) => !(name in DEFINED)),
        where,
      ).toEqual([])
      for (const [, name, selectors] of expr.matchAll(/\b(\w+)\{([^{}]*)\}/g)) {
        const { labels = [] } = DEFINED[metricsIn(name!)[0] ?? ''] ?? {}
        const asked = [...selectors!.matchAll(/(\w+)(?:=~|!~|!=|=)/g)].map(([, label]) => label!)
        const known = [...labels, 'job', 'instance', 'le']
        expect(
          asked.filter((label) => !known.includes(label)),
          where,
        ).toEqual([])
      }
    }
  })

  test('are those that docs/metrics.md names with each metric', () => {
    const said = Object.entries(DEFINED).flatMap(([name, { alert = '' }]) =>
      alert.split(', ').flatMap((one) => (one === '' ? [] : [`${one} ${name}`])),
    )
    const used = rules.flatMap(({ alert, expr }) =>
      metricsIn(expr).map((name) => `${alert} ${name}`),
    )
    expect(said.sort()).toEqual(used.sort())
  })

  test('of each metric of the gateway, one of them shows or watches it', () => {
    const used = new Set([...queries, ...rules].flatMap(({ expr }: Json) => metricsIn(expr)))
    const unused = Object.keys(METRICS).filter((name) => !used.has(name))
    expect(unused).toEqual([])
  })

  test('each alert is made to fire, and is quiet where all is well', () => {
    const cases: Json[] = parse(read('deploy/prometheus/alerts.test.yml')).tests.flatMap(
      ({ alert_rule_test }: Json) => alert_rule_test,
    )
    const fired = cases.filter(({ exp_alerts }) => exp_alerts.length > 0)
    const quiet = cases.filter(({ exp_alerts }) => exp_alerts.length === 0)
    for (const some of [fired, quiet]) {
      expect(some.map(({ alertname }) => alertname).sort()).toEqual(names.toSorted())
    }
  })
})

describe.runIf(hasPrometheus())('with Prometheus', () => {
  test('promtool finds the rules good, and each alert fires', async () => {
    await run('promtool', ['check', 'rules', 'alerts.yml'], { cwd: FOLDER })
    await run('promtool', ['test', 'rules', 'alerts.test.yml'], { cwd: FOLDER })
  })

  test('promtool reads the queries of the dashboards', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'queries-'))
    const file = join(folder, 'queries.yml')
    const asked = queries.filter(({ expr }) => !expr.startsWith('label_values('))
    const recorded = asked.map(({ expr }, i) => ({
      record: `query_${i}`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }))
    try {
      await writeFile(file, JSON.stringify({ groups: [{ name: 'queries', rules: recorded }] }))
      const { stdout } = await run('promtool', ['check', 'rules', file])
      expect(stdout).toContain(`${recorded.length} rules found`)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('Prometheus scrapes a gateway, and evaluates the rules', async () => {
    const token = 'the-token-of-the-scrape'
    const gateway = await startTestGateway({ ADMIN_TOKEN: token })
    const prometheus = await startPrometheus({
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: [join(FOLDER, 'alerts.yml')],
      scrape_configs: [
        {
          job_name: 'db-gateway',
          authorization: { credentials: token },
          static_configs: [{ targets: [new URL(gateway.url).host] }],
        },
      ],
    })
    try {
      const platform = uniqueName('scraped')
      await gateway.register(platform, await pack(textFunction('ping', 'pong')))
      await gateway.call(platform, 'ping')
      const one = (text: string) => eventually(text, async () => (await prometheus.query(text))[0])
      const info = await one('db_gateway_build_info')
      expect(info.metric).toMatchObject({ job: 'db-gateway', node: process.version })
      await one(`db_gateway_calls_total{platform="${platform}"} == 1`)
      await one(`db_gateway_call_duration_seconds_count{platform="${platform}"} == 1`)
      const { groups } = await eventually('the rules were evaluated', async () => {
        const data = await prometheus.api('rules')
        const isDone = (rule: Json) => rule.health !== 'unknown'
        return data.groups.every((group: Json) => group.rules.every(isDone)) && data
      })
      const evaluated: Json[] = groups.flatMap((group: Json) => group.rules)
      expect(evaluated.filter(({ health }) => health !== 'ok')).toEqual([])
      expect(evaluated.map(({ name }) => name).sort()).toEqual(names.toSorted())
      const metadata = await prometheus.api('metadata?metric=db_gateway_calls_total')
      expect(metadata.db_gateway_calls_total[0]).toMatchObject({
        type: 'counter',
        help: METRICS.db_gateway_calls_total.help,
      })
      const [target] = (await prometheus.api('targets')).activeTargets
      expect(target).toMatchObject({ health: 'up', lastError: '' })
    } finally {
      await prometheus.stop()
      await gateway.stop()
    }
  })
})
