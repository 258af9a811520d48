import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SchemaArchive } from '../archive/archive.ts'
import type { Config } from '../config.ts'
import { dropDatabaseNow } from '../deploy/database/database.ts'
import { createLog } from '../log.ts'
import { startEmbedded } from '../postgres/embedded.ts'
import { Hosts } from '../postgres/hosts/hosts.ts'
import type { Route } from '../postgres/hosts/route.ts'
import type { Credentials, Server } from '../postgres/hosts/server.ts'
import { Pools } from '../postgres/pools/pools.ts'
import { quoteIdentifier } from '../postgres/quote.ts'
import { startGateway } from '../start.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { testsConfig } from './settings.ts'

/** How sessions of the platform's role are opened. */
export interface ScratchSessions {
  server: Server
  route: Route
  /** Undefined: the gateway's own role (ISOLATION=shared). */
  credentials: Credentials | undefined
}

/** A database with a schema, made for the tests alone. */
export interface Scratch extends ScratchSessions {
  database: string
  /** Role that owns it; null: the gateway's own. */
  role: string | null
  /** Connections of the gateway's own role. */
  pools: Pools
  /** Database for statements about databases. */
  home: string
  /** Warnings of the deploy. */
  warnings: string[]
  /** Databases to drop at the end. */
  databases: Set<string>
  /** Drops everything that was made. */
  close(): Promise<void>
}

/**
 * Deploys an archive to a database of its own: on the PostgreSQL of a URI, or on an embedded one in a
 * temporary folder. A gateway with a catalog of its own does it and has stopped afterwards.
 * @param env settings
 * @throws {GatewayError} of the deploy
 */
export async function openScratch(
  databaseUrl: string | undefined,
  env: Record<string, string | undefined>,
  { archive, packed }: { archive: SchemaArchive; packed: Uint8Array },
): Promise<Scratch> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-tests-'))
  const undo: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
  const close = async () => {
    const failures: unknown[] = []
    for (const one of undo.splice(0).reverse()) {
      await one().catch((error) => failures.push(error))
    }
    if (failures.length > 0) throw failures[0]
  }
  try {
    const name = `gateway_test_${randomBytes(4).toString('hex')}`
    const named = testsConfig(databaseUrl, env)
    const chosen = named.server ? named : testsConfig(await embedded(folder, undo), env)
    const config = { ...chosen, secret: randomBytes(32).toString('hex') }
    const server = config.server!
    const pools = new Pools(server, config)
    undo.push(() => pools.end())
    const home = server.database
    const databases = new Set<string>()
    const roles = new Set<string>()
    undo.push(async () => {
      await pools.use(home, async (sql) => {
        for (const one of databases) await dropDatabaseNow({ pools }, sql, one)
        for (const one of roles) await sql.unsafe(`drop role if exists ${quoteIdentifier(one)}`)
      })
    })
    await pools.use(home, (sql) => sql.unsafe(`create database ${name} template template0`))
    databases.add(name)
    const owner: Owner = { platform: name.slice('gateway_'.length), tenantId: null, schema: null }
    const database = databaseName(owner)
    const deployed = await deploy({ ...config, server: { ...server, database: name } }, folder, {
      owner,
      archive,
      packed,
      onMade: (role) => {
        databases.add(database)
        if (role !== null) roles.add(role)
      },
    })
    return {
      ...deployed,
      server,
      route: new Hosts(server),
      database,
      pools,
      home,
      databases,
      close,
    }
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
}

async function embedded(folder: string, undo: (() => Promise<unknown>)[]): Promise<string> {
  const postgres = await startEmbedded({
    dataDir: join(folder, 'data'),
    // Whatever is lost in a crash was to be dropped.
    settings: { track_functions: 'all', fsync: 'off', synchronous_commit: 'off' },
  })
  // Where the process ends before `stop`; the server has been told by then.
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', remove)
  undo.push(async () => {
    await postgres.stop()
    process.off('exit', remove)
  })
  return postgres.url
}

interface Made {
  owner: Owner
  archive: SchemaArchive
  packed: Uint8Array
  /** Called before the database is made. */
  onMade(role: string | null): void
}

async function deploy(config: Config, folder: string, { onMade, ...request }: Made) {
  const silent = createLog('error', { write: () => true })
  const noHandlers = await mkdtemp(join(folder, 'handlers-'))
  const { gateway, stop } = await startGateway(config, silent, noHandlers)
  try {
    const role = gateway.roles.roleOf(request.owner.platform)
    onMade(role)
    const { warnings } = await gateway.deploys.register({
      ...request,
      older: 'whole',
      flags: { allow: new Set(), repair: false, dryRun: false, strict: false },
      origin: { requestId: 'test', address: '127.0.0.1' },
    })
    return { role, credentials: gateway.roles.credentialsOf(role), warnings }
  } finally {
    await stop()
  }
}
