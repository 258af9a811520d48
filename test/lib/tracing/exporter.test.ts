import { afterEach, beforeEach, expect, test } from 'vitest'
import { createLog } from '../../../lib/log.ts'
import { newSpanId, newTraceId } from '../../../lib/tracing/context.ts'
import { Exporter } from '../../../lib/tracing/exporter.ts'
import { type EndedSpan, INTERNAL } from '../../../lib/tracing/otlp.ts'
import { createPost, type PostOptions } from '../../../lib/tracing/post.ts'
import { type Collector, startCollector } from '../../helpers/collector.ts'
import type { Json } from '../../helpers/gateway.ts'
import { eventually } from '../../helpers/process.ts'

let collector: Collector
let logged: Json[]
beforeEach(async () => {
  collector = await startCollector()
  logged = []
})
afterEach(() => collector.close())

function newExporter(more: Partial<PostOptions> = {}, limits = {}) {
  const write = (text: string) =>
    logged.push(
      ...text
        .trim()
        .split('\n')
        .map((one) => JSON.parse(one)),
    )
  const url = new URL(`${collector.url}/v1/traces`)
  const { post } = createPost({ url, headers: [], isCompressed: false, timeoutMs: 20_000, ...more })
  return new Exporter({
    post,
    log: createLog('info', { write }),
    resource: { 'service.name': 'test' },
    scope: { name: 'test', version: '1' },
    maxQueue: 100,
    maxBatch: 10,
    delayMs: 5,
    ...limits,
  })
}

function span(name: string, attributes: EndedSpan['attributes'] = {}): EndedSpan {
  return {
    traceId: newTraceId(),
    spanId: newSpanId(),
    parentId: undefined,
    isParentRemote: false,
    traceState: undefined,
    name,
    kind: INTERNAL,
    startedAt: performance.now() - 5,
    endedAt: performance.now(),
    attributes,
    failure: undefined,
  }
}

const names = () => collector.spans().map(({ name }) => name)
const add = (exporter: Exporter, count: number) => {
  for (let i = 0; i < count; i++) exporter.add(span(`s${i}`))
}

test('sends batches with headers, compressed, with times and values as OTLP has them', async () => {
  const exporter = newExporter({ isCompressed: true, headers: [['x-token', 'secret']] })
  const before = BigInt(Date.now() - 1000) * 1_000_000n
  exporter.add(span('one', { text: 'é', whole: 3, part: 0.5, yes: true, none: undefined }))
  await eventually('the span', () => collector.spans().length === 1)
  const [request] = collector.requests
  expect(request).toMatchObject({
    path: '/v1/traces',
    headers: {
      'x-token': 'secret',
      'content-type': 'application/json',
      'content-encoding': 'gzip',
    },
  })
  const [one] = collector.spans()
  expect(one!.attributes).toEqual({ text: 'é', whole: 3, part: 0.5, yes: true })
  expect(one!.startNs).toBeGreaterThan(before)
  expect(one!.endNs - one!.startNs).toBeGreaterThan(4_000_000n)
  expect(collector.resource()).toEqual({ 'service.name': 'test' })

  add(exporter, 25)
  await eventually('all of them', () => collector.spans().length === 26)
  for (const { body } of collector.requests) {
    expect(body.resourceSpans[0].scopeSpans[0].spans.length).toBeLessThanOrEqual(10)
  }
})

test.each([
  [429, { 'retry-after': '0' }],
  [503, { 'retry-after': new Date(0).toUTCString() }],
  [502, { 'retry-after': '0' }],
])('sends a batch again after %i, when it is told to', async (status, headers) => {
  collector.answers.push({ status, headers }, { status, headers })
  const exporter = newExporter()
  exporter.add(span('again'))
  await eventually('it arrives', () => names().includes('again'))
  expect(collector.requests).toHaveLength(3)
  expect(logged).toEqual([])
})

test('drops what the collector refuses, and says so once a minute at most', async () => {
  collector.answers.push({ status: 400 }, { status: 404 })
  const exporter = newExporter()
  exporter.add(span('bad'))
  await eventually('a line', () => logged.length === 1)
  expect(logged[0]).toMatchObject({
    level: 'warn',
    message: 'Spans are dropped: the collector answers 400',
    dropped: 1,
  })
  exporter.add(span('bad too'))
  await eventually('the second', () => collector.requests.length === 2)
  exporter.add(span('good'))
  await eventually('it arrives', () => names().includes('good'))
  expect(names()).toEqual(['good'])
  expect(logged).toHaveLength(1)
})

test('counts what a collector takes in part', async () => {
  const partialSuccess = { rejectedSpans: '2', errorMessage: 'too old' }
  collector.answers.push({ status: 200, body: JSON.stringify({ partialSuccess }) })
  add(newExporter(), 3)
  await eventually('a line', () => logged.length === 1)
  expect(logged[0]).toMatchObject({
    message: 'Spans are dropped: the collector refuses them: too old',
    dropped: 2,
  })
})

test('holds a limited number of spans while the collector is away, and ends in time', async () => {
  await collector.close()
  const exporter = newExporter({}, { maxQueue: 20 })
  add(exporter, 500)
  expect(exporter.waiting).toBeLessThanOrEqual(20)
  const started = performance.now()
  await exporter.end(100)
  expect(performance.now() - started).toBeLessThan(5000)
  expect(exporter.waiting).toBe(0)
  // 20 wait or are under way; what was dropped before is told at the latest now.
  const dropped = () => logged.reduce((sum, one) => sum + one.dropped, 0)
  await eventually('all are told of', () => dropped() === 500)
  collector = await startCollector()
})

test('sends what waits at the end', async () => {
  const exporter = newExporter({}, { delayMs: 60_000, maxBatch: 100 })
  add(exporter, 30)
  expect(collector.requests).toHaveLength(0)
  await exporter.end(5000)
  expect(collector.spans()).toHaveLength(30)
})
