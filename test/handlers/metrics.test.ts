import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Definition, METRICS } from '../../lib/metrics/definitions.ts'
import { PROCESS_METRICS } from '../../lib/metrics/process-definitions.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { PROJECT, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

const gateway = await startOneGateway()
const platform = uniqueName('measured')
await gateway.register(platform, await pack(textFunction('ping', 'pong')))
await gateway.call(platform, 'ping')
await gateway.call(platform, 'pong')
await gateway.register(platform, await pack({ 'functions/ping.pssql': 'create;' }))
// The first scrape has the numbers of the fleet read.
await gateway.get('/metrics')
await gateway.gateway.metrics.fleet.renew()
const text: string = (await gateway.get('/metrics')).body

const DEFINED: Record<string, Definition> = { ...METRICS, ...PROCESS_METRICS }

/** The value of a sample, by its name with labels as it is written. */
const value = (sample: string) => {
  const line = text.split('\n').find((one) => one.startsWith(`${sample} `))
  return line === undefined ? undefined : Number(line.slice(sample.length + 1))
}

test('/metrics has the metrics that docs/metrics.md describes, and no other', () => {
  const types = new Map(
    [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [name!, type!]),
  )
  const page = readFileSync(join(PROJECT, 'docs/metrics.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `((?:db_gateway|process|nodejs)_\w+)` \| (\w+) \|/gm)]
  const described = new Map(rows.map(([, name, type]) => [name!, type!]))
  const missing = [...described].filter(([name, type]) => types.get(name) !== type)
  // Some of the process's metrics exist on Linux alone.
  expect(
    missing.filter(([name]) => process.platform === 'linux' || !/^process_/.test(name!)),
  ).toEqual([])
  expect([...types.keys()].filter((name) => !described.has(name))).toEqual([])
})

test('each sample has the labels that are described', () => {
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(samples.length).toBeGreaterThan(100)
  for (const line of samples) {
    const [, full, labels = ''] = /^(\w+)(?:\{(.*)\})? /.exec(line)!
    const name = full! in DEFINED ? full! : full!.replace(/_(bucket|sum|count)$/, '')
    const names = [...labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)].map(([, label]) => label!)
    const allowed = [...(DEFINED[name]?.labels ?? []), ...(full!.endsWith('_bucket') ? ['le'] : [])]
    expect(
      names.filter((label) => !allowed.includes(label)),
      line,
    ).toEqual([])
  }
})

test('what has happened is counted', () => {
  expect(value(`db_gateway_calls_total{platform="${platform}"}`)).toBe(2)
  expect(value(`db_gateway_calls_failed_total{platform="${platform}"}`)).toBe(1)
  expect(value('db_gateway_errors_total{code="function_not_found"}')).toBe(1)
  expect(value('db_gateway_errors_total{code="function_deploy_failed"}')).toBe(1)
  expect(value('db_gateway_deploys_total{status="completed"}')).toBe(1)
  expect(value('db_gateway_deploys_total{status="failed"}')).toBe(1)
  expect(value('db_gateway_deploy_duration_seconds_count')).toBe(2)
  expect(value('db_gateway_call_wait_seconds_count')).toBeGreaterThan(0)
  expect(value('db_gateway_call_query_seconds_count')).toBeGreaterThan(0)
  expect(value(`db_gateway_databases{platform="${platform}",state="failed"}`)).toBe(1)
  expect(value(`db_gateway_databases{platform="${platform}",state="synced"}`)).toBe(0)
  const { host, port } = gateway.server
  expect(value(`db_gateway_postgres_up{server="${host}:${port}",role="primary"}`)).toBe(1)
  expect(value('db_gateway_gateways')).toBe(1)
  expect(value('db_gateway_draining')).toBe(0)
  expect(text).toMatch(/^db_gateway_build_info\{version="\d+\.\d+\.\d+",node="v\d+[^"]+"\} 1$/m)
})
