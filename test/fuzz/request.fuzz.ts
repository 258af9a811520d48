import type { IncomingMessage } from 'node:http'
import fc from 'fast-check'
import { describe } from 'vitest'
import { BATCH_MEMBERS, parseBatch } from '../../lib/call/batch-request.ts'
import { CALL_MEMBERS, parseCall } from '../../lib/call/request.ts'
import { findClient, isAllowedAddress } from '../../lib/http/access/access.ts'
import { parseNetworks } from '../../lib/http/access/networks.ts'
import { preferred } from '../../lib/http/answer/accept.ts'
import { chooseEncoding } from '../../lib/http/answer/compress.ts'
import { isNoneMatch } from '../../lib/http/answer/etag.ts'
import { parseQuery } from '../../lib/http/body/query-string.ts'
import { fieldsOf } from '../../lib/json/fields.ts'
import { parseDatabaseUrl, parseDatabaseUrls } from '../../lib/postgres/hosts/server.ts'
import { databaseName, parseFunctionName, parseOwner } from '../../lib/tenancy/names.ts'
import { parseStoredOwner } from '../../lib/tenancy/owners.ts'
import { jsonOfValue } from '../helpers/json.ts'
import { fuzz } from './fuzz.ts'
import { mutatedTexts } from './mutations.ts'

describe('a request’s body', () => {
  const fields: fc.Arbitrary<unknown | undefined> = fc.constantFrom<unknown | undefined>(
    ...[undefined, null, true, '', 'f', 'p-1', 'A b', '\0', 0, -1, 1.5, 1e99, 7, [], {}],
    ...[[1, 'x', null], [[[]]], { a: 1 }, { 'app.user_id': 7 }, { 'app.x': '\ud800' }],
    JSON.parse('{"__proto__":1,"constructor":{"a":[]}}'),
    Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`app.s${i}`, i])),
  )
  const mostly = (value: unknown | undefined) =>
    fc.oneof({ weight: 6, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: fields })
  const call = fc.oneof(
    { weight: 1, arbitrary: fields },
    {
      weight: 9,
      arbitrary: fc
        .tuple(mostly('f'), mostly([]))
        .map(([name, params]) => ({ function: name, params })),
    },
  )
  const calls = fc.oneof(fields, fc.array(call, { minLength: 1 }))
  const bodies = fc
    .tuple(mostly('f'), mostly([1]), mostly({ 'a.b': 1 }), mostly(7), mostly(true), calls)
    .map(([name, params, session, timeout_ms, flag, list]) => {
      const body = { function: name, params, session, timeout_ms, calls: list }
      return { ...body, primary: flag, transaction: flag }
    })
  const known = [...CALL_MEMBERS, ...BATCH_MEMBERS]
  fuzz('the fields of a call', bodies, (body) => parseCall(fieldsOf(jsonOfValue(body), known)))
  fuzz('the fields of a batch', bodies, (body) => parseBatch(fieldsOf(jsonOfValue(body), known)))
})

describe('names', () => {
  fuzz('functions', mutatedTexts(['get_patient_by_id', 'f', '_', 'a'.repeat(63)]), (text) => {
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(parseFunctionName(text))) throw new Error('It was taken')
  })
  const ids = mutatedTexts(['clinic_001', 'Org-1', 'a', 'null', 'main', 'x'.repeat(63)])
  fuzz('platforms and tenants', fc.tuple(ids, ids), ([platform, tenant]) => {
    const asker = { address: undefined, mayName: () => true, platform: undefined }
    const name = databaseName(parseOwner(asker, platform, tenant))
    if (!/^[a-z0-9_]{3,63}$/.test(name)) throw new Error(`It gave the name ${name}`)
  })
  const parts = mutatedTexts([
    'HR.Core',
    'main',
    'v1.0',
    '3f2504e0-4f89-41d3-9A0C-0305e82c3301',
    '_',
  ])
  fuzz('schemas and their tenants', fc.tuple(ids, parts, parts), ([platform, schema_name, id]) => {
    const asker = { address: undefined, mayName: () => true, platform: undefined }
    for (const ids of [{ uuid: id }, { uuid: id.toUpperCase() }, { database_id: id }]) {
      const { owner } = parseStoredOwner(asker, { platform, schema_name, ...ids })
      const name = databaseName(owner)
      if (!/^[a-z0-9_]{3,63}$/.test(name)) throw new Error(`It gave the name ${name}`)
    }
  })
})

describe('a request’s head', () => {
  const urls = ['/call/p/f?p_a=1&p_b=x%20y+z', '/call/p/t/f?p_ids=1&p_ids=2&=&a', '/x?%e2%82%ac=1']
  fuzz('the query', mutatedTexts(urls), parseQuery)

  const accepts = [
    'text/csv;q=0.5, application/json',
    '*/*;q=0',
    'application/x-ndjson',
    'gzip, br',
  ]
  const types = ['application/json', 'application/x-ndjson', 'text/csv'] as const
  fuzz('Accept', mutatedTexts(accepts), (text) => {
    chooseEncoding(text)
    preferred(text, types)
  })
  fuzz('If-None-Match', mutatedTexts(['W/"abc", "def"', '*', '""']), (text) => {
    isNoneMatch(text, 'W/"abc"')
  })

  const proxies = parseNetworks('10.9.0.0/16,fd00::/8')
  const allowed = parseNetworks('10.0.1.0/24')
  const chains = ['10.0.1.5', '203.0.113.9, 10.9.3.3', '::ffff:10.0.1.5,fd00::1', 'unknown']
  const peers = fc.constantFrom('10.9.0.1', '203.0.113.9', '::ffff:10.9.0.1', 'fd00::7', undefined)
  const words = ['10.0.1.5', '10.9.1.1', '127.0.0.1', '::1', '%eth0', ', ']
  fuzz('X-Forwarded-For', fc.tuple(peers, mutatedTexts(chains, words)), ([peer, text]) => {
    const headers = { 'x-forwarded-for': text }
    const req = { headers, socket: { remoteAddress: peer } } as unknown as IncomingMessage
    const { address } = findClient(req, proxies)
    const isStranger = peer === '203.0.113.9' && address?.toString() !== peer
    if (isStranger) throw new Error(`A stranger became ${address}`)
    // Whatever it is that was believed, it is the last that is no proxy.
    const last = text.split(',').at(-1)!.trim()
    const isLies = last.startsWith('203.0.113.') && isAllowedAddress(address, allowed)
    if (isLies) throw new Error(`${text} became ${address}`)
  })

  const elements = ['for=10.0.1.5', 'for="[2001:db8::1]:4711";proto=https, for=10.9.3.3', 'for=_x']
  const parts = ['for=', '"', ';', ', ', '[::1]', '10.9.1.1', '\\"', 'by=unknown']
  fuzz('Forwarded', fc.tuple(peers, mutatedTexts(elements, parts)), ([peer, text]) => {
    const headers = { forwarded: text }
    const req = { headers, socket: { remoteAddress: peer } } as unknown as IncomingMessage
    const { address, problem } = findClient(req, proxies)
    if ((address === undefined) !== (problem !== undefined || peer === undefined)) {
      throw new Error(`Nobody asks, and there is ${problem}`)
    }
    if (peer === '203.0.113.9' && address?.toString() !== peer) {
      throw new Error(`A stranger became ${address}`)
    }
  })
})

describe('settings', () => {
  fuzz('networks', mutatedTexts(['10.0.1.0/24,fd00::/8', '::ffff:10.0.0.0/104']), parseNetworks, {
    isRefusal: (error) => error instanceof Error && error.constructor === Error,
  })

  const PASSWORD = 'Tr0ub4dor'
  const urls = [
    `postgres://user:${PASSWORD}@host:5432/db?sslmode=require`,
    `postgresql://user:${PASSWORD}@[::1]/db`,
    `postgres://user:${PASSWORD}@one:5432,two:5433/db?target_session_attrs=read-write`,
    `postgres://%2Ftmp/db?user=u&password=${PASSWORD}&host=/tmp`,
  ]
  const isRefusal = (error: unknown) =>
    error instanceof Error && error.constructor === Error && !error.message.includes(PASSWORD)
  fuzz('DATABASE_URL', mutatedTexts(urls), parseDatabaseUrl, { isRefusal })
  fuzz('DATABASE_READ_URLS', mutatedTexts([urls.join(','), '']), parseDatabaseUrls, { isRefusal })
})
