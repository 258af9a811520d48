import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import type { Json } from './gateway.ts'

/** A span as a collector sees it, its attributes as one object. */
export interface CollectedSpan {
  traceId: string
  spanId: string
  parentSpanId?: string
  traceState?: string
  name: string
  kind: number
  startNs: bigint
  endNs: bigint
  attributes: Record<string, string | number | boolean>
  status: { code?: number; message?: string }
}

/** A collector that speaks OTLP/JSON over HTTP. */
export interface Collector {
  url: string
  requests: { path: string; headers: IncomingHttpHeaders; body: Json }[]
  /** Answers of the next requests, in order; then 200. */
  answers: { status: number; headers?: Record<string, string>; body?: string }[]
  spans(): CollectedSpan[]
  /** Attributes of the resource of the last request. */
  resource(): Record<string, string | number | boolean>
  close(): Promise<void>
}

export async function startCollector(): Promise<Collector> {
  const requests: Collector['requests'] = []
  const taken: Json[] = []
  const answers: Collector['answers'] = []
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    const isZipped = req.headers['content-encoding'] === 'gzip'
    const body = JSON.parse((isZipped ? gunzipSync(bytes) : bytes).toString())
    requests.push({ path: req.url!, headers: req.headers, body })
    const { status, headers = {}, body: text = '{}' } = answers.shift() ?? { status: 200 }
    if (status === 200) taken.push(body)
    res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    answers,
    spans: () => taken.flatMap(spansIn),
    resource: () => attributesOf(requests.at(-1)!.body.resourceSpans[0].resource.attributes),
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function spansIn({ resourceSpans }: Json): CollectedSpan[] {
  const spans = resourceSpans.flatMap((one: Json) => one.scopeSpans.flatMap((s: Json) => s.spans))
  return spans.map((span: Json) => ({
    ...span,
    startNs: BigInt(span.startTimeUnixNano),
    endNs: BigInt(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
  }))
}

function attributesOf(list: Json[]): CollectedSpan['attributes'] {
  return Object.fromEntries(list.map(({ key, value }) => [key, valueIn(value)]))
}

/** OTLP/JSON has 64-bit integers as text. */
function valueIn({ stringValue, intValue, doubleValue, boolValue }: Json) {
  return stringValue ?? (intValue === undefined ? (doubleValue ?? boolValue) : Number(intValue))
}
