import type { Config } from '../../config.ts'
import type { Log } from '../../log.ts'
import type { Server } from '../../postgres/hosts/server.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { type RoleSettings, type Roles, settingStatements } from './roles.ts'

interface ExplainParts {
  config: Pick<Config, 'slowCallMs' | 'slowCallPlans'>
  log: Log
  server: Server
  pools: Pools
  roles: Roles
  catalogId: string
}

/** Milliseconds from which on a call is slow, where the plans of such calls are asked for; otherwise 0. */
export function plansFrom({ slowCallMs, slowCallPlans }: ExplainParts['config']): number {
  return slowCallPlans ? slowCallMs : 0
}

/**
 * Has auto_explain tell the sessions of the platforms' roles the plans of slow statements, as notices,
 * and takes that back where SLOW_CALL_PLANS is off. Logs a warning where the gateway's role may not.
 */
export async function prepareExplain(parts: ExplainParts): Promise<void> {
  const { config, log, server, pools, roles, catalogId } = parts
  if (roles.isolation === 'shared-role') return
  await pools.use(server.database, async (sql) => {
    try {
      const slowMs = plansFrom(config)
      const wanted = slowMs > 0 ? await settingsFor(sql, slowMs) : []
      roles.settings = wanted
      await setAll(sql, catalogId, wanted)
    } catch (error) {
      log.warn(
        `The plans of slow calls are not asked for: ${(error as Error).message} (see SLOW_CALL_PLANS in docs/administration.md)`,
      )
    }
  })
}

const PRELOAD = 'session_preload_libraries'

/**
 * Returns the settings of a platform's role. Statements within a function count, from a tenth of the
 * time on from which a call is slow, without the values of parameters.
 * @throws {Error} why the gateway's role may not set them
 */
async function settingsFor(sql: Sql, slowMs: number): Promise<RoleSettings> {
  const settings: RoleSettings = [
    ['auto_explain.log_min_duration', `${Math.max(1, Math.floor(slowMs / 10))}`],
    ['auto_explain.log_level', 'notice'],
    ['auto_explain.log_nested_statements', 'on'],
    ['auto_explain.log_parameter_max_length', '0'],
    ['auto_explain.log_format', 'text'],
  ]
  const [server] = await sql<{ is_loaded: boolean; is_superuser: boolean; may_set: boolean }[]>`
    select current_setting('auto_explain.log_min_duration', true) is not null as is_loaded,
      (select rolsuper from pg_roles where rolname = current_user) as is_superuser,
      (
        select bool_and(has_parameter_privilege(name, 'set'))
        from json_array_elements_text(${JSON.stringify(settings.map(([name]) => name))}::text::json)
          as s (name)
      ) as may_set
  `
  const { is_loaded, is_superuser, may_set } = server!
  if (!may_set) throw new Error('the role of the gateway may not set auto_explain.*')
  if (is_loaded) return settings
  if (!is_superuser) throw new Error('auto_explain is not loaded by the server')
  // A session whose library is missing could not be opened.
  await sql`load 'auto_explain'`
  const [{ libraries }] = (await sql`select current_setting(${PRELOAD}) as libraries`) as [
    { libraries: string },
  ]
  const all = [...new Set([...libraries.split(',').map((one) => one.trim()), 'auto_explain'])]
  return [[PRELOAD, ...all.filter((one) => one !== '')], ...settings]
}

/** Gives the roles of the catalog these settings, and takes those of auto_explain that they had. */
async function setAll(sql: Sql, catalogId: string, wanted: RoleSettings): Promise<void> {
  const roles = await sql<{ name: string; settings: string[] }[]>`
    select rolname as name, to_json(coalesce(setconfig, '{}')) as settings
    from pg_roles r
    left join pg_db_role_setting s on s.setrole = r.oid and s.setdatabase = 0
    where shobj_description(r.oid, 'pg_authid') like ${`%, catalog ${catalogId}`}
  `
  const aim = wanted.map(([name, ...values]) => `${name}=${values.join(', ')}`).sort()
  for (const { name, settings } of roles) {
    const present = settings
      .filter((one) => /^auto_explain\./.test(one) || isOurPreload(one))
      .sort()
    if (JSON.stringify(present) === JSON.stringify(aim)) continue
    const role = quoteIdentifier(name)
    const resets = present.map(
      (one) => `alter role ${role} reset ${one.slice(0, one.indexOf('='))}`,
    )
    await inTransaction(sql, async () => {
      for (const reset of resets) await sql.unsafe(reset)
      if (wanted.length > 0) await sql.unsafe(settingStatements(name, wanted))
    })
  }
}

function isOurPreload(setting: string): boolean {
  return setting.startsWith(`${PRELOAD}=`) && setting.includes('auto_explain')
}
