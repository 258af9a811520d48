import { createHash } from 'node:crypto'
import { GatewayError } from '../../errors.ts'
import type { Credentials } from '../../postgres/hosts/server.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { scramVerifier } from '../../postgres/session/scram.ts'

import type { Secret } from '../secrets/secret.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { Isolation } from './isolation.ts'
import { type RoleMark, readMark, writeMark } from './role-mark.ts'

export type { Isolation }

const PREFIX = 'gw_'
const MAX_IDENTIFIER_BYTES = 63

/** What the roles of one catalog go by. */
export interface RolesOptions {
  secrets: Secrets
  isolation: Isolation
  /** The catalog's id: the roles of another one are left alone. */
  catalog: string
}

/**
 * The roles of the platforms: each owns the databases of its platform and nothing else, and is whom
 * deploys and calls connect as.
 */
export class Roles {
  readonly #secrets: Secrets
  readonly #catalog: string
  readonly isolation: Isolation
  readonly #credentials = new Map<string, Credentials>()
  /**
   * `ready`: the role is there, with the password that goes with the secret. `doubted`: that was
   * refused, since a role may change its own.
   */
  readonly #known = new Map<string, 'ready' | 'doubted'>()

  constructor({ secrets, isolation, catalog }: RolesOptions) {
    this.#secrets = secrets
    this.isolation = isolation
    this.#catalog = catalog
  }

  /**
   * Gives the roles of the catalog that lack it the mark of this catalog, and the password of the
   * secret in force.
   * @returns the platforms whose role is not this catalog's
   */
  async prepare(sql: Sql): Promise<string[]> {
    if (this.isolation === 'shared-role') return []
    const mark = writeMark(this.#secrets.current.fingerprint, this.#catalog)
    const platforms = await sql<{ platform: string }[]>`
      select distinct platform
      from _db_gateway_databases
      left join pg_roles on rolname = owner_role
      where owner_role is not null
        and shobj_description(oid, 'pg_authid') is distinct from ${mark}
    `
    const foreign: string[] = []
    for (const { platform } of platforms) {
      await this.ensure(sql, platform).catch((error) => {
        if (!(error instanceof GatewayError)) throw error
        foreign.push(platform)
      })
    }
    return foreign
  }

  /** The role of a platform; null where it shares the gateway's. */
  roleOf(platform: string): string | null {
    return this.isolation === 'platform-roles' ? roleName(platform) : null
  }

  /**
   * How to log in as such a role; undefined where that is not to be done. While the secret is being
   * changed there are two passwords, and the one that was let in last is tried first.
   */
  credentialsOf(role: string | null): Credentials | undefined {
    if (role === null || this.isolation === 'shared-role') return undefined
    const known = this.#credentials.get(role)
    if (known) return known
    const [first, other] = this.#secrets
      .all()
      .map((secret): Credentials => ({ user: role, password: secret.passwordOf(role) }))
    if (other) this.#pair(role, first!, other)
    else this.#credentials.set(role, first!)
    return this.#credentials.get(role)
  }

  #pair(role: string, first: Credentials, other: Credentials): void {
    const { user, password } = first
    const onOther = () => this.#pair(role, other, { user, password })
    this.#credentials.set(role, { user, password, other, onOther })
  }

  /** The server does not let the platform's role in: the next `ensure` gives it its password. */
  doubt(platform: string): void {
    this.#known.set(roleName(platform), 'doubted')
  }

  /**
   * Sees to it that the platform's role exists and has its password. `sql` is a connection of the
   * gateway's own role to the catalog, outside of transactions.
   * @returns the role; null where platforms share the gateway's
   * @throws {GatewayError} name_conflict where there is such a role that is not this catalog's
   */
  async ensure(sql: Sql, platform: string): Promise<string | null> {
    const role = this.roleOf(platform)
    if (role === null || this.#known.get(role) === 'ready') return role
    await sql.unsafe('begin')
    try {
      await sql`select pg_advisory_xact_lock(hashtext('_db_gateway_roles'), hashtext(${role}))`
      await this.#checkAlone(sql, role, platform)
      await this.#create(sql, role)
      await sql.unsafe('commit')
    } catch (error) {
      await sql.unsafe('rollback').catch(() => {})
      throw error
    }
    this.#known.set(role, 'ready')
    return role
  }

  /** Gives every role of this catalog the password of `secret`, in the open transaction. */
  async setPasswords(sql: Sql, secret: Secret): Promise<void> {
    const roles = await sql<{ name: string; comment: string | null }[]>`
      select rolname as name, shobj_description(oid, 'pg_authid') as comment
      from pg_roles where shobj_description(oid, 'pg_authid') like ${`%, catalog ${this.#catalog}`}
    `
    const mark = writeMark(secret.fingerprint, this.#catalog)
    for (const { name, comment } of roles) {
      if (readMark(comment)?.catalog !== this.#catalog || comment === mark) continue
      await setPassword(sql, 'alter', name, secret, mark)
    }
  }

  async #create(sql: Sql, role: string): Promise<void> {
    // "for share": until the end of this transaction, no other secret comes into force.
    const [found] = await sql<
      { fingerprint: string; comment: string | null; is_there: boolean; is_plain: boolean }[]
    >`
      select
        c.secret_fingerprint as fingerprint,
        shobj_description(r.oid, 'pg_authid') as comment,
        r.oid is not null as is_there,
        not (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls) as is_plain
      from (select secret_fingerprint from _db_gateway_catalog for share) as c
      left join pg_roles r on r.rolname = ${role}
    `
    const { fingerprint, comment, is_there, is_plain } = found!
    const secret = this.#secrets.find(fingerprint)
    if (!secret) throw new Error('The catalog has another secret now: start this gateway anew')
    if (is_there) await this.#checkOwn(sql, role, is_plain, readMark(comment))
    const mark = writeMark(secret.fingerprint, this.#catalog)
    if (comment === mark && this.#known.get(role) !== 'doubted') return
    await setPassword(sql, is_there ? 'alter' : 'create', role, secret, mark)
    // To hand databases over to it, to drop them, and to end what it runs.
    if (!is_there) await sql.unsafe(`grant ${quoteIdentifier(role)} to current_user`)
  }

  /** A gateway of before could give two platforms one role. */
  async #checkAlone(sql: Sql, role: string, platform: string): Promise<void> {
    const [other] = await sql<{ platform: string }[]>`
      select platform from _db_gateway_databases
      where owner_role = ${role} and platform <> ${platform} limit 1
    `
    if (other) throw notOurs(role, `is that of the platform ${other.platform}`)
  }

  /** A gateway of before did not say of which catalog its roles are: those that this one has are its. */
  async #checkOwn(sql: Sql, role: string, isPlain: boolean, mark?: RoleMark): Promise<void> {
    if (!mark || !isPlain) throw notOurs(role, 'the gateway did not make')
    if (mark.catalog === this.#catalog) return
    const isUnmarked = mark.catalog === null
    if (isUnmarked && (mark.fingerprint === null || this.#secrets.find(mark.fingerprint))) return
    if (isUnmarked) {
      const [own] = await sql`select from _db_gateway_databases where owner_role = ${role} limit 1`
      if (own) return
    }
    throw notOurs(role, 'belongs to the catalog of another gateway')
  }
}

/** PostgreSQL gets a verifier of the password, which no log can give away. */
async function setPassword(
  sql: Sql,
  how: 'create' | 'alter',
  role: string,
  secret: Secret,
  mark: string,
): Promise<void> {
  const name = quoteIdentifier(role)
  const verifier = await scramVerifier(secret.passwordOf(role))
  await sql.unsafe(`
    ${how} role ${name} login password '${verifier}';
    comment on role ${name} is '${mark}'
  `)
}

/**
 * `gw_` and the platform as it is written; one that is too long ends in a hash of it, and so does one
 * that would look like that.
 */
function roleName(platform: string): string {
  const name = PREFIX + platform
  const isLong = name.length > MAX_IDENTIFIER_BYTES
  const looksLong = name.length === MAX_IDENTIFIER_BYTES && /_[0-9a-f]{16}$/.test(name)
  if (!isLong && !looksLong) return name
  const hash = createHash('sha256').update(platform).digest('hex').slice(0, 16)
  return `${name.slice(0, MAX_IDENTIFIER_BYTES - hash.length - 1)}_${hash}`
}

function notOurs(role: string, why: string): GatewayError {
  return new GatewayError('name_conflict', `There is a role ${role} on the server that ${why}`)
}
