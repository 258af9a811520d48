import { createHash } from 'node:crypto'
import { GatewayError } from '../../errors.ts'
import type { Credentials } from '../../postgres/hosts/server.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { scramVerifier } from '../../postgres/session/scram.ts'
import { inTransaction } from '../../postgres/transaction.ts'

import type { Secret } from '../secrets/secret.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { Isolation } from './isolation.ts'
import { type RoleMark, readMark, writeMark } from './role-mark.ts'

export type { Isolation }

const PREFIX = 'gw_'
const MAX_IDENTIFIER_BYTES = 63

/** Settings of the roles of one catalog. */
export interface RolesOptions {
  secrets: Secrets
  isolation: Isolation
  /** Id of the catalog; roles of other catalogs are not changed. */
  catalog: string
}

/** Settings of a role, by name; several values are a list. */
export type RoleSettings = [name: string, ...values: string[]][]

/** Returns SQL that gives a role these settings. */
export function settingStatements(role: string, settings: RoleSettings): string {
  const name = quoteIdentifier(role)
  const quoted = (value: string) => `'${value.replaceAll("'", "''")}'`
  return settings
    .map(
      ([setting, ...values]) =>
        `alter role ${name} set ${setting} = ${values.map(quoted).join(', ')}`,
    )
    .join(';')
}

/**
 * The roles of the platforms. Each role owns the databases of its platform and nothing else.
 * Deploys and calls connect as that role.
 */
export class Roles {
  readonly #secrets: Secrets
  readonly #catalog: string
  readonly isolation: Isolation
  /** What roles get that are made; see `prepareExplain`. */
  settings: RoleSettings = []
  readonly #credentials = new Map<string, Credentials>()
  /**
   * State of each role that was checked. `ready`: it exists and has the password of the secret in
   * force. `doubted`: PostgreSQL refused that password; a role may change its own.
   */
  readonly #known = new Map<string, 'ready' | 'doubted'>()

  constructor({ secrets, isolation, catalog }: RolesOptions) {
    this.#secrets = secrets
    this.isolation = isolation
    this.#catalog = catalog
  }

  /**
   * Sets the comment and the password of the secret in force on the catalog's roles that lack them.
   * @returns platforms whose role does not belong to this catalog
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

  /** Returns the role of a platform, or null if platforms share the gateway's role. */
  roleOf(platform: string): string | null {
    return this.isolation === 'platform-roles' ? roleName(platform) : null
  }

  /**
   * Returns the credentials of a role, or undefined if the gateway connects as its own role. While
   * the secret is being changed a role may have either of two passwords; the one that was accepted
   * last is tried first.
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

  /**
   * Marks a platform's role as refused by PostgreSQL: the next `ensure` sets its password again.
   */
  doubt(platform: string): void {
    this.#known.set(roleName(platform), 'doubted')
  }

  /**
   * Creates the platform's role if it is missing, and sets its password if needed.
   * @param sql connection of the gateway's own role to the catalog, outside a transaction
   * @returns the role; null if platforms share the gateway's role
   * @throws {GatewayError} name_conflict if the role exists and does not belong to this catalog
   */
  async ensure(sql: Sql, platform: string): Promise<string | null> {
    const role = this.roleOf(platform)
    if (role === null || this.#known.get(role) === 'ready') return role
    await inTransaction(sql, async () => {
      await sql`select pg_advisory_xact_lock(hashtext('_db_gateway_roles'), hashtext(${role}))`
      await this.#checkAlone(sql, role, platform)
      await this.#create(sql, role)
    })
    this.#known.set(role, 'ready')
    return role
  }

  /**
   * Sets the password of every role of this catalog to the one of `secret`, in the open
   * transaction.
   */
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
    // "for share" keeps another secret from coming into force before this transaction ends.
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
    if (!secret)
      throw new Error(
        'The secret of the catalog has changed and this gateway does not have it: restart this gateway',
      )
    if (is_there) await this.#checkOwn(sql, role, is_plain, readMark(comment))
    const mark = writeMark(secret.fingerprint, this.#catalog)
    if (comment === mark && this.#known.get(role) !== 'doubted') return
    await setPassword(sql, is_there ? 'alter' : 'create', role, secret, mark)
    // Membership lets the gateway give databases to the role, drop them, and terminate its
    // backends.
    if (is_there) return
    await sql.unsafe(`grant ${quoteIdentifier(role)} to current_user`)
    if (this.settings.length > 0) await sql.unsafe(settingStatements(role, this.settings))
  }

  /**
   * Checks that no other platform uses the role: older gateways could give two platforms one role.
   */
  async #checkAlone(sql: Sql, role: string, platform: string): Promise<void> {
    const [other] = await sql<{ platform: string }[]>`
      select platform from _db_gateway_databases
      where owner_role = ${role} and platform <> ${platform} limit 1
    `
    if (other) throw notOurs(role, `belongs to the platform ${other.platform}`)
  }

  /**
   * Checks that the role belongs to this catalog. Older gateways did not record the catalog: their
   * roles belong to this catalog if it knows the secret, or if it has a database that the role
   * owns.
   */
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

/**
 * Sets the password of a role. Sends a SCRAM verifier, so that no server log contains the password.
 */
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
 * Returns the role name: `gw_` and the platform as it is written. A name that is too long ends in a
 * hash of the platform instead, and so does one that could be mistaken for such a name.
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
