import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { ReadableStream } from 'node:stream/web'
import { parseArgs } from 'node:util'
import { itemFiles, PLATFORM, registerPlatform } from './lib/call/platform.ts'
import { peakMemory } from './lib/cpu.ts'
import { pack } from './lib/deploy/clinic.ts'
import {
  type PostgresRig,
  query,
  type Rig,
  startGateway,
  withGateway,
  withPostgres,
} from './lib/rig.ts'
import { machine, runBench } from './lib/run.ts'
import { digits, table } from './lib/table.ts'
import { callEach, createTenants, enterTenants, TEMPLATE } from './lib/tenants/tenants.ts'
import { sampleProcesses } from './soak/sample.ts'

const HELP = `Asks a gateway whose catalog has many databases for its lists. Only the rows are there, not the databases,
unless --there makes them; then each is called once, and drift and a /migrate with nothing to do are measured too.

npm run bench:lists -- [options]

  --rows 1000,10000    databases in the catalogs; a table for each
  --servers 1          PostgreSQL servers among which they are divided; not with --there
  --there copy|clone   makes the databases, 8 MB each in TMPDIR; clone: as clones of files, on a file system
                       that shares blocks (XFS, Btrfs), of some 0.3 MB each
  --help
`

const TOKEN = 'a'.repeat(32)
const TIMES = 3
const MEGABYTE = 1e6

const FILES = itemFiles(100)

const PATHS = [
  '/metrics',
  `/admin/fleet?platform=${PLATFORM}`,
  `/admin/tenants?platform=${PLATFORM}&limit=1000`,
  `/admin/databases?platform=${PLATFORM}&limit=1000`,
  `/admin/databases?platform=${PLATFORM}`,
  `/admin/deployments?platform=${PLATFORM}`,
  '/admin/pools',
  '/admin/platforms',
]

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000,10000' },
    servers: { type: 'string', default: '1' },
    there: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const counts = values.rows.split(',').map(Number)
const serverCount = Number(values.servers)
const { there } = values
const isRight =
  [...counts, serverCount].every((count) => count > 0) &&
  (there === undefined || (['copy', 'clone'].includes(there) && serverCount === 1))
if (values.help || !isRight) console.log(HELP)
else {
  await runBench(async (stopping) => {
    console.log(`${machine()}.\n`)
    for (const count of counts) {
      await withServers(stopping, serverCount - 1, (others) => measure(count, others, stopping))
    }
  })
}

/** Starts further PostgreSQL servers. */
function withServers<T>(
  stopping: AbortController,
  count: number,
  work: (others: PostgresRig[]) => Promise<T>,
): Promise<T> {
  if (count === 0) return work([])
  return withPostgres(stopping, (rig) =>
    withServers(stopping, count - 1, (others) => work([rig, ...others])),
  )
}

async function measure(
  count: number,
  others: PostgresRig[],
  stopping: AbortController,
): Promise<void> {
  const settings: Record<string, string> = there ? { fsync: 'off' } : {}
  if (there === 'clone') settings.file_copy_method = 'clone'
  const work = async (postgres: PostgresRig) => {
    const probe = join(import.meta.dirname, 'soak/probe.ts')
    const file = join(postgres.folder, 'probe')
    const SERVERS = others.map(({ databaseUrl }, i) => `e${i + 1}=${databaseUrl}`).join(';')
    const env = { LOG_LEVEL: 'info', ADMIN_TOKEN: TOKEN, ...(SERVERS && { SERVERS }) }
    const each = Math.ceil(count / serverCount)
    await withGateway(postgres, env, async (rig) => {
      await (there ? createTenants(rig, each, FILES, 'file_copy') : fillCatalog(rig, each))
      for (const [i, other] of others.entries()) {
        await fillOther(postgres, other, `e${i + 1}`, each * (i + 1), each)
      }
    })
    const probed = { ...env, SOAK_PROBE: file }
    const startedAt = performance.now()
    const { url, stop } = await startGateway(postgres, probed, [probe])
    try {
      const where = others.length === 0 ? '' : ` on ${serverCount} servers`
      console.log(
        `${count} databases${where}, started in ${digits(performance.now() - startedAt)} ms\n`,
      )
      const rows = [['', 'kB', 'ms', 'event loop held up, ms', 'while it ran', 'peak RSS MB']]
      for (const path of PATHS) rows.push([path, ...(await worst(url + path, file))])
      if (there) {
        await sampleProcesses(file)
        const calledAt = performance.now()
        await callEach({ gatewayUrl: url, signal: stopping.signal }, count)
        const ms = performance.now() - calledAt
        rows.push(['each called once', '', ...[ms, ...(await sampleOf(file))].map(digits)])
        const drift = `${url}/admin/drift?platform=${PLATFORM}`
        for (const name of ['/admin/drift, the first', '/admin/drift'])
          rows.push([name, ...(await worst(drift, file, {}, 1))])
        for (const name of ['/migrate, the first', '/migrate'])
          rows.push([name, ...(await worst(`${url}/migrate`, file, await migration(), 1))])
        for (const path of PATHS) rows.push([`${path}, then`, ...(await worst(url + path, file))])
      }
      console.log(
        `${table(rows)}\n\nThe largest of ${TIMES} requests, of drift and /migrate each one.\n`,
      )
    } finally {
      await stop()
    }
  }
  await withPostgres(stopping, work, settings)
}

/** The archive that is in place, as a request to /migrate. */
async function migration(): Promise<RequestInit> {
  const body = new FormData()
  body.set('platform', PLATFORM)
  body.set('schema', new Blob([(await pack(FILES)) as Uint8Array<ArrayBuffer>]), 'schema.tar.gz')
  return { method: 'POST', body }
}

/** Enters databases that are not there, as those of tenants that were deployed to. */
async function fillCatalog(rig: Rig, count: number): Promise<void> {
  await registerPlatform(rig, FILES, TEMPLATE)
  await enterTenants(rig, count)
}

/**
 * Enters databases that are not there in the catalog of another server, numbered from `from` on, and in
 * the catalog of `main` where they are.
 */
async function fillOther(
  main: PostgresRig,
  other: PostgresRig,
  server: string,
  from: number,
  count: number,
): Promise<void> {
  const named = `select '${PLATFORM}_t' || i as database, 't' || i as tenant
    from generate_series(${from}, ${from + count - 1}) i`
  const template = await query(
    main,
    undefined,
    `select json_build_array(owner_role, schema_checksum)::text as text from _db_gateway_databases
     where platform = '${PLATFORM}' and tenant_id = '${TEMPLATE}'`,
  )
  const [role, checksum] = JSON.parse(template!) as [string, string]
  await query(
    other,
    undefined,
    `insert into _db_gateway_databases
       (database, platform, tenant_id, owner_role, schema_checksum, last_deployed_at)
     select database, '${PLATFORM}', tenant, '${role}', '${checksum}', now() from (${named}) n`,
  )
  await query(
    main,
    undefined,
    `insert into _db_gateway_placements (database, platform, tenant_id, server)
     select database, '${PLATFORM}', tenant, '${server}' from (${named}) n`,
  )
}

async function worst(
  url: string,
  file: string,
  init: RequestInit = {},
  times = TIMES,
): Promise<string[]> {
  const most = [0, 0, 0, 0, 0]
  for (let i = 0; i < times; i++) {
    await sampleProcesses(file)
    const sentAt = performance.now()
    const headers = { authorization: `Bearer ${TOKEN}` }
    const bytes = await answerTo(new Request(url, { ...init, headers }))
    const ms = performance.now() - sentAt
    const seen = [bytes / 1000, ms, ...(await sampleOf(file))]
    for (const [at, value] of seen.entries()) most[at] = Math.max(most[at]!, value)
  }
  return most.map(digits)
}

/**
 * How long the event loop was held up at most since the last sample, in ms, and how long while it had a CPU; and
 * the largest RSS so far, in MB.
 */
async function sampleOf(file: string): Promise<number[]> {
  const [sample] = await sampleProcesses(file)
  return [sample!.delayMaxMs, sample!.ranMaxMs, peakMemory(sample!.pid) / MEGABYTE]
}

/** Sends a request and returns the number of bytes of the answer. `fetch` waits for 5 minutes at most. */
async function answerTo({ url, method, headers, body }: Request): Promise<number> {
  const sent = request(url, { method, headers: Object.fromEntries(headers) })
  if (body) Readable.fromWeb(body as ReadableStream).pipe(sent)
  else sent.end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const answer = await buffer(response)
  if (response.statusCode !== 200) throw new Error(`${url}: ${response.statusCode} ${answer}`)
  return answer.length
}
