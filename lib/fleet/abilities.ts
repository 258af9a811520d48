import { findPgTool } from '../postgres/pg-tools.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Isolation } from '../tenancy/roles/isolation.ts'

/** Whether something can be done: true, or why not. */
export type Ability = true | string

/** What this gateway can do with the databases of its server. */
export interface Abilities {
  create: Ability
  clone: Ability
  rename: Ability
  drop: Ability
  /** Dropping a tenant with a dump of its database. */
  drop_with_dump: Ability
  export: Ability
  import: Ability
  /** Going back to an earlier archive, and the differences between two archives. */
  revert: Ability
  changes: Ability
  drift: Ability
  /** Showing the statements of the sessions of other roles. */
  see_sessions: Ability
}

/** Facts about the server and the gateway's role. */
interface ServerFacts {
  role: string
  major: number
  may_create: boolean
  may_see: boolean
}

/** Returns what can be done. Starts pg_dump and pg_restore to learn their versions. */
export async function readAbilities(
  sql: Sql,
  { isolation, keptArchives }: { isolation: Isolation; keptArchives: number },
): Promise<Abilities> {
  const [row] = await sql<ServerFacts[]>`
    select rolname as role, current_setting('server_version_num')::integer / 10000 as major,
      rolsuper or rolcreatedb as may_create,
      rolsuper or pg_has_role(rolname, 'pg_read_all_stats', 'usage') as may_see
    from pg_roles where rolname = current_user
  `
  const { role, major, may_create, may_see } = row!
  const create = may_create || `The role ${role} may not create databases`
  const [dump, restore] = await Promise.all(
    (['pg_dump', 'pg_restore'] as const).map(
      async (tool): Promise<Ability> =>
        (await findPgTool(tool, major)) !== undefined ||
        `The gateway's machine has no ${tool} of PostgreSQL ${major} or later`,
    ),
  )
  const shared =
    isolation !== 'shared-role' ||
    'With ISOLATION=shared a dump would be restored as the role of the gateway'
  const archives = keptArchives > 0 || 'KEPT_ARCHIVES is 0: no archive is kept'
  return {
    create,
    clone: create,
    rename: create,
    drop: true,
    drop_with_dump: dump!,
    export: dump!,
    import: firstReason(create, shared, restore!),
    revert: archives,
    changes: archives,
    drift: true,
    see_sessions:
      may_see ||
      `The role ${role} is not a member of pg_read_all_stats: it sees the sessions of its own roles alone`,
  }
}

function firstReason(...abilities: Ability[]): Ability {
  return abilities.find((one) => one !== true) ?? true
}
