import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { itemFiles, PLATFORM, registerPlatform } from './lib/call/platform.ts'
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
import { enterTenants, TEMPLATE } from './lib/tenants/tenants.ts'
import { sampleProcesses } from './soak/sample.ts'

const HELP = `Asks a gateway whose catalog has many databases for its lists. Only the rows are there, not the databases.

npm run bench:lists -- [options]

  --rows 1000,10000    databases in the catalogs; a table for each
  --servers 1          PostgreSQL servers among which they are divided
  --help
`

const TOKEN = 'a'.repeat(32)
const TIMES = 3
const MEGABYTE = 1e6

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
    help: { type: 'boolean', default: false },
  },
})
const counts = values.rows.split(',').map(Number)
const serverCount = Number(values.servers)
if (values.help || ![...counts, serverCount].every((count) => count > 0)) console.log(HELP)
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
  await withPostgres(stopping, async (postgres) => {
    const probe = join(import.meta.dirname, 'soak/probe.ts')
    const loader = join(import.meta.dirname, '../scripts/typescript.mjs')
    const imports = [loader, probe].map((file) => `--import ${pathToFileURL(file).href}`)
    const file = join(postgres.folder, 'probe')
    const SERVERS = others.map(({ databaseUrl }, i) => `e${i + 1}=${databaseUrl}`).join(';')
    const env = { LOG_LEVEL: 'info', ADMIN_TOKEN: TOKEN, ...(SERVERS && { SERVERS }) }
    const each = Math.ceil(count / serverCount)
    await withGateway(postgres, env, async (rig) => {
      await fillCatalog(rig, each)
      for (const [i, other] of others.entries()) {
        await fillOther(postgres, other, `e${i + 1}`, each * (i + 1), each)
      }
    })
    const probed = { ...env, NODE_OPTIONS: imports.join(' '), SOAK_PROBE: file }
    const startedAt = performance.now()
    const { url, stop } = await startGateway(postgres, probed)
    try {
      const where = others.length === 0 ? '' : ` on ${serverCount} servers`
      console.log(
        `${count} databases${where}, started in ${digits(performance.now() - startedAt)} ms\n`,
      )
      const rows = [['', 'kB', 'ms', 'event loop held up, ms', 'RSS MB']]
      for (const path of PATHS) rows.push([path, ...(await worst(url + path, file))])
      console.log(`${table(rows)}\n\nThe largest of ${TIMES} requests.\n`)
    } finally {
      await stop()
    }
  })
}

/** Enters databases that are not there, as those of tenants that were deployed to. */
async function fillCatalog(rig: Rig, count: number): Promise<void> {
  await registerPlatform(rig, itemFiles(100), TEMPLATE)
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

async function worst(url: string, file: string): Promise<string[]> {
  const most = [0, 0, 0, 0]
  for (let i = 0; i < TIMES; i++) {
    await sampleProcesses(file)
    const sentAt = performance.now()
    const response = await fetch(url, { headers: { authorization: `Bearer ${TOKEN}` } })
    const { byteLength } = await response.arrayBuffer()
    const ms = performance.now() - sentAt
    if (!response.ok) throw new Error(`${url}: ${response.status}`)
    const [sample] = await sampleProcesses(file)
    const { delayMaxMs, rssBytes } = sample!
    const seen = [byteLength / 1000, ms, delayMaxMs, rssBytes / MEGABYTE]
    for (const [at, value] of seen.entries()) most[at] = Math.max(most[at]!, value)
  }
  return most.map(digits)
}
