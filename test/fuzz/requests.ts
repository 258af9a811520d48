import fc from 'fast-check'
import { mutatedBytes, mutatedTexts } from './mutations.ts'

/** A request as it is written to a socket, whether or not it is one. */
export type RawRequest = Buffer

/** Changes of a request: with more of them it hardly ever gets as far as PostgreSQL. */
const FEW = 2

/** Values that no function here was made for. */
const HOSTILE = [
  'a\0b',
  'half \ud800',
  '[['.repeat(3000),
  '{"a":'.repeat(3000),
  '{{{{{{{{',
  `'); drop table x; --`,
  '9'.repeat(400),
  'infinity',
  '2026-13-45',
  '(,,,',
  ['a', ['b', [[[[[[[1]]]]]]]]],
  { street: { street: [] }, number: 'x', __proto__: null },
]

const HEAD = 'host: localhost\r\nconnection: close\r\n'

/** Put together again after its parts were changed, with the body's true length. */
function request(line: string, headers: string, body: Buffer | string = ''): RawRequest {
  const bytes = Buffer.from(body as string)
  const length = bytes.length > 0 ? `content-length: ${bytes.length}\r\n` : ''
  return Buffer.concat([Buffer.from(`${line} HTTP/1.1\r\n${headers}${length}\r\n`), bytes])
}

const JSON_HEAD = `${HEAD}content-type: application/json\r\n`
const FORM_HEAD = `${HEAD}content-type: multipart/form-data; boundary=b\r\n`

const part = (name: string, value: string, more = '') =>
  `--b\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`

/**
 * Requests to a gateway that has `platform` with the functions of http.fuzz.ts: right ones, changed
 * ones and rubbish. None of them creates a database: each would be kept to the end.
 */
export function rawRequests(platform: string, archive: Buffer): fc.Arbitrary<RawRequest> {
  const call = (name: string, params: unknown, more = {}) =>
    JSON.stringify({ platform, function: name, params, ...more })
  const calls = [
    call('add', [1, 2]),
    call('add', { p_a: 1, p_b: 2 }),
    call('echo', [{ a: [1.5, null, { b: 'x\n"y"' }] }]),
    call('total', [1, 2, 3]),
    call('texts', [['a', 'b"c', null]]),
    call('where_is', [{ street: 'High', number: 7 }], { tenant_id: null, primary: true }),
    call('since', ['2026-01-01T00:00:00Z'], { session: { 'app.user_id': 7 } }),
    call('nothing', []),
  ]
  const batches = [
    JSON.stringify({
      platform,
      calls: [{ function: 'add', params: [1, 2] }, { function: 'nothing' }],
      transaction: true,
    }),
    JSON.stringify({ platform, calls: [{ function: 'echo', params: [[]] }, { function: 'x' }] }),
  ]
  const urls = [
    `/call/${platform}/add?p_a=1&p_b=2`,
    `/call/${platform}/null/texts?p_texts=a&p_texts=%E2%82%AC`,
    `/call/${platform}/where_is?p_address={"street":"High"}`,
    `/call/${platform}/total?p_numbers=[1,2]`,
    '/health',
    `/admin/databases?platform=${platform}`,
    `/admin/deployments?platform=${platform}&limit=3`,
    '/admin/pools',
    '/metrics',
    '/nowhere/at/all',
  ]
  const heads = [
    HEAD,
    `${HEAD}accept: text/csv\r\nx-request-id: a.b-c\r\n`,
    `${HEAD}accept: application/x-ndjson\r\naccept-encoding: br;q=1, gzip\r\n`,
    `${HEAD}x-forwarded-for: 10.0.1.5, 10.9.9.9\r\nif-none-match: W/"abc", *\r\n`,
    `${HEAD}authorization: Bearer x\r\nexpect: 100-continue\r\n`,
  ]
  const form =
    part('platform', platform) +
    part('tenant_id', 'null') +
    part('schema', '\0', '; filename="a.tar.gz"').replace('\0', archive.toString('latin1'))
  const forms = [`${form}--b--\r\n`, `${form}${part('dry_run', 'true')}--b--\r\n`]
  const noArchive = `${part('platform', platform)}${part('schema', 'no gzip')}--b--\r\n`
  const tenants = [JSON.stringify({ platform, tenant_id: 'main' }), '{"tenant_id":"no id!"}']

  const jsonCalls = mutatedTexts(calls, [], FEW).map((body) =>
    request('POST /call', JSON_HEAD, body),
  )
  const names = ['add', 'echo', 'total', 'texts', 'where_is', 'since', 'nothing', 'x']
  const value = fc.oneof(fc.constantFrom(...HOSTILE), fc.jsonValue({ maxDepth: 2 }))
  const hostileCalls = fc
    .tuple(fc.constantFrom(...names), fc.array(value, { maxLength: 3 }), fc.constantFrom(...heads))
    .map(([name, params, head]) =>
      request('POST /call', `${head}content-type: application/json\r\n`, call(name, params)),
    )
  const streams = fc
    .tuple(fc.constantFrom(...heads), mutatedTexts(calls, [], FEW))
    .map(([head, body]) => request('POST /call', `${head}content-type: text/json+json\r\n`, body))
  const jsonBatches = mutatedTexts(batches, [], FEW).map((body) =>
    request('POST /batch', JSON_HEAD, body),
  )
  const gets = fc
    .tuple(
      fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'DELETE'),
      mutatedTexts(urls, [], FEW),
      mutatedTexts(heads, [], 1),
    )
    .map(([method, url, head]) => request(`${method} ${url}`, head))
  const updates = mutatedBytes(
    forms.map((text) => Buffer.from(text, 'latin1')),
    FEW,
  ).map((body) => request('POST /migrate', FORM_HEAD, body))
  const registers = mutatedTexts([noArchive]).map((body) =>
    request('POST /register', FORM_HEAD, body),
  )
  const creations = mutatedTexts(tenants, ['!', ' ']).map((body) =>
    request('POST /admin/create-tenant', JSON_HEAD, body.replace(/"tenant_id":"/g, '$&!')),
  )
  const whole = mutatedBytes([
    ...calls.slice(0, 3).map((body) => request('POST /call', JSON_HEAD, body)),
    ...urls.slice(0, 6).map((url) => request(`GET ${url}`, heads[1]!)),
    request('POST /batch', JSON_HEAD, batches[0]),
    request('POST /migrate', FORM_HEAD, Buffer.from(forms[0]!, 'latin1')),
    Buffer.from(
      `POST /call HTTP/1.1\r\n${JSON_HEAD}transfer-encoding: chunked\r\n\r\n5\r\n{"a":\r\n2;x=y\r\n1}\r\n0\r\n\r\n`,
    ),
    // Two, one behind the other.
    Buffer.concat([request('GET /health', 'host: x\r\n'), request('GET /health', HEAD)]),
  ])
  const rubbish = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))

  return fc.oneof(
    { weight: 6, arbitrary: hostileCalls },
    { weight: 6, arbitrary: jsonCalls },
    { weight: 2, arbitrary: streams },
    { weight: 2, arbitrary: jsonBatches },
    { weight: 4, arbitrary: gets },
    { weight: 1, arbitrary: updates },
    { weight: 1, arbitrary: registers },
    { weight: 1, arbitrary: creations },
    { weight: 4, arbitrary: whole },
    { weight: 1, arbitrary: rubbish },
  )
}
