import { createHash } from 'node:crypto'
import { GatewayError } from './errors.ts'
import { quoteIdentifier } from './names.ts'
import type { Sql } from './postgres/connection.ts'
import type { Credentials } from './postgres/server.ts'
import { scramVerifier } from './postgres/session/scram.ts'
import type { Secret } from './secret.ts'

/**
 * `platform-roles`: PostgreSQL keeps the platforms apart, each with a role of its own.
 * `shared-role`: the functions of all platforms run as the gateway's role.
 */
export type Isolation = 'platform-roles' | 'shared-role'

const PREFIX = 'gw_'
const MAX_IDENTIFIER_BYTES = 63
const COMMENT = 'Database Gateway'

/**
 * The roles of the platforms: each owns the databases of its platform and nothing else, and is whom
 * deploys and calls connect as.
 */
export class Roles {
  readonly #secret: Secret | undefined
  #isolation: Isolation = 'shared-role'
  readonly #credentials = new Map<string, Credentials>()
  /**
   * `ready`: the role is there, with the password that goes with the secret. `doubted`: that was
   * refused, since a role may change its own.
   */
  readonly #known = new Map<string, 'ready' | 'doubted'>()

  constructor(secret: Secret | undefined) {
    this.#secret = secret
  }

  get isolation(): Isolation {
    return this.#isolation
  }

  /**
   * Finds out whether the server lets the gateway have roles, and gives those that are there the
   * passwords of the secret, where it is another one now.
   * @returns why there are none; undefined where there are
   */
  async prepare(sql: Sql): Promise<string | undefined> {
    if (!this.#secret) return 'GATEWAY_SECRET is not set'
    const [self] = await sql<{ name: string; may_create: boolean }[]>`
      select rolname as name, rolsuper or rolcreaterole as may_create
      from pg_roles where rolname = current_user
    `
    if (!self!.may_create) return `the role ${self!.name} has no CREATEROLE`
    this.#isolation = 'platform-roles'
    await closeToPublic(sql)
    const platforms = await sql<{ platform: string }[]>`
      select distinct platform
      from _db_gateway_databases
      left join pg_roles on rolname = owner_role
      where owner_role is not null
        and shobj_description(oid, 'pg_authid') is distinct from ${commentOf(this.#secret)}
    `
    for (const { platform } of platforms) await this.ensure(sql, platform)
    return undefined
  }

  /** The role of a platform; null where it shares the gateway's. */
  roleOf(platform: string): string | null {
    return this.#isolation === 'platform-roles' ? roleName(platform) : null
  }

  /** How to log in as such a role; undefined where that is not to be done. */
  credentialsOf(role: string | null): Credentials | undefined {
    if (role === null || !this.#secret || this.#isolation === 'shared-role') return undefined
    let credentials = this.#credentials.get(role)
    if (!credentials) {
      credentials = { user: role, password: this.#secret.passwordOf(role) }
      this.#credentials.set(role, credentials)
    }
    return credentials
  }

  /** The server does not let the platform's role in: the next `ensure` gives it its password. */
  doubt(platform: string): void {
    this.#known.set(roleName(platform), 'doubted')
  }

  /**
   * Sees to it that the platform's role exists and has its password. `sql` is a connection of the
   * gateway's own role, outside of transactions.
   * @returns the role; null where platforms share the gateway's
   * @throws {GatewayError} name_conflict where there is such a role that no gateway made
   */
  async ensure(sql: Sql, platform: string): Promise<string | null> {
    const role = this.roleOf(platform)
    if (role === null || this.#known.get(role) === 'ready') return role
    await sql.unsafe('begin')
    try {
      await sql`select pg_advisory_xact_lock(hashtext('_db_gateway_roles'), hashtext(${role}))`
      await this.#create(sql, role, this.#secret!)
      await sql.unsafe('commit')
    } catch (error) {
      await sql.unsafe('rollback').catch(() => {})
      throw error
    }
    this.#known.set(role, 'ready')
    return role
  }

  async #create(sql: Sql, role: string, secret: Secret): Promise<void> {
    const comment = commentOf(secret)
    const [found] = await sql<{ comment: string | null; is_plain: boolean }[]>`
      select shobj_description(oid, 'pg_authid') as comment,
        not (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls) as is_plain
      from pg_roles where rolname = ${role}
    `
    if (found && !(found.is_plain && found.comment?.startsWith(COMMENT))) throw notOurs(role)
    if (found?.comment === comment && this.#known.get(role) !== 'doubted') return
    const name = quoteIdentifier(role)
    const verifier = await scramVerifier(secret.passwordOf(role))
    await sql.unsafe(`${found ? 'alter' : 'create'} role ${name} login password '${verifier}'`)
    // To hand databases over to it, to drop them, and to end what it runs.
    if (!found) await sql.unsafe(`grant ${name} to current_user`)
    await sql.unsafe(`comment on role ${name} is '${comment}'`)
  }
}

/** Says of a role whose it is, and which secret its password goes with. */
function commentOf({ fingerprint }: Secret): string {
  return `${COMMENT}, ${fingerprint}`
}

/** Keeps the platforms' roles out of the administrative database, where that is the gateway's. */
async function closeToPublic(sql: Sql): Promise<void> {
  await sql.unsafe(`
    do $do$ begin
      perform pg_advisory_xact_lock(hashtext('_db_gateway_roles'));
      if exists (
        select from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) acl
        where d.datname = current_database() and pg_get_userbyid(d.datdba) = current_user
          and acl.grantee = 0 and acl.privilege_type = 'CONNECT'
      ) then
        execute format('revoke connect on database %I from public', current_database());
      end if;
    end $do$
  `)
}

/** `gw_` and the platform as it is written; one that is too long ends in a hash of it. */
function roleName(platform: string): string {
  const name = PREFIX + platform
  if (name.length <= MAX_IDENTIFIER_BYTES) return name
  const hash = createHash('sha256').update(platform).digest('hex').slice(0, 16)
  return `${name.slice(0, MAX_IDENTIFIER_BYTES - hash.length - 1)}_${hash}`
}

function notOurs(role: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `There is a role ${role} on the server that the gateway did not make`,
  )
}
