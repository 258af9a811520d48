import { sanitize } from '../../lib/tenancy/names.ts'
import { Failure, PROGRAM, UsageError } from '../command.ts'
import type { Line } from '../fleet/state.ts'
import { findInPages } from './pages.ts'
import { MAIN, type Target, tenantOf } from './target.ts'

/** The members of a request that name a database of the platform; none: the main database. */
export type DatabaseMembers = { tenant_id?: string; schema_name?: string; uuid?: string }

/** What was typed to name a database. */
export interface DatabaseArgs {
  tenant?: string | undefined
  schema?: string | undefined
  uuid?: string | undefined
  /** All databases, whatever tenant the environment or gateway.json has. */
  all?: boolean | undefined
}

/**
 * Returns the database that a command is about: that of --schema and --uuid, else of the target.
 * @throws {UsageError} for --uuid without --schema, and for --schema beside --tenant
 */
export function databaseOf(args: DatabaseArgs, target: Target): DatabaseMembers {
  const named = schemaMembers(args)
  if (named) return named
  const tenant = tenantOf(target)
  return tenant === undefined ? {} : { tenant_id: tenant }
}

/**
 * Returns the parameters of a list that holds one database, or without a name all of them.
 * @throws {UsageError} as `databaseOf`; for --all beside the name of one
 */
export function filterOf(args: DatabaseArgs, target: Target): DatabaseMembers {
  const given = (['tenant', 'schema', 'uuid'] as const).find((name) => args[name] !== undefined)
  if (args.all && given) throw new UsageError(`--all and --${given} exclude each other`)
  if (args.all) return {}
  const members = databaseOf(args, target)
  const isMain = members.schema_name === undefined && target.tenant === MAIN
  return isMain ? { tenant_id: '' } : members
}

/** Returns the members for --schema and --uuid; undefined without them. */
export function schemaMembers(args: DatabaseArgs): DatabaseMembers | undefined {
  const { tenant, schema, uuid } = args
  if (schema === undefined && uuid === undefined) return undefined
  if (schema === undefined) throw new UsageError('--uuid needs --schema')
  if (tenant !== undefined) throw new UsageError('--tenant and --schema exclude each other')
  return { schema_name: schema, ...(uuid !== undefined && { uuid }) }
}

/** Returns the name of a database for a person: the tenant, or `schema/uuid`; '' for the main one. */
export function nameOfDatabase({ tenant_id, schema_name, uuid }: DatabaseMembers): string {
  return tenant_id ?? [schema_name, uuid].filter(Boolean).join('/')
}

/**
 * Returns the entry of a database in /admin/databases.
 * @throws {Failure} if there is none
 */
export async function findDatabase(
  target: Target,
  platform: string,
  members: DatabaseMembers,
): Promise<Line> {
  const { tenant_id: id, schema_name: schema, uuid } = members
  const isMeant = (one: Line) =>
    schema === undefined || (schema === MAIN && uuid === undefined)
      ? one.tenant_id === (id ?? null) && one.schema_name === undefined
      : one.tenant_id === (uuid === undefined ? null : sanitize(uuid)) &&
        one.schema_name === sanitize(schema)
  // Sizes would have PostgreSQL look at each database's files.
  const query = { platform, sizes: 'false' }
  const found = await findInPages(target, '/admin/databases', query, 'databases', isMeant)
  if (found) return found
  const name = nameOfDatabase(members) || 'main database'
  throw new Failure(`There is no ${name} in ${platform}: see \`${PROGRAM} status\``)
}
