import type { Sql } from '../../postgres/pools/connection.ts'
import { readMark } from '../roles/role-mark.ts'
import { Secret } from '../secrets/secret.ts'
import { Secrets } from '../secrets/secrets.ts'
import {
  type CatalogIdentity,
  checkCatalog,
  readIdentity,
  readStoredSecret,
  setFingerprint,
} from './catalog-identity.ts'
import { createCatalog } from './catalog-table.ts'

/** The secrets that the settings give, or the data folder. */
export interface GivenSecrets {
  secret: Secret | undefined
  previous: Secret | undefined
  /** The data folder's secret was removed by hand, to have another one. */
  isReplaced: boolean
}

/** A catalog that this gateway may work with. */
export interface OpenCatalog {
  id: string
  secrets: Secrets
}

/**
 * Opens the catalog in the database of `sql`, which is made where there is none, and finds the
 * secret in force. Where no setting gives a secret, the first gateway makes one up and keeps it in
 * the catalog.
 * @throws {Error} with one line, where this gateway may not work with it: a newer one has changed
 *   it, or its secret is none that this gateway has
 */
export async function openCatalog(sql: Sql, given: GivenSecrets): Promise<OpenCatalog> {
  await checkCatalog(sql)
  await createCatalog(sql)
  await sql.unsafe('begin')
  try {
    const identity = await readIdentity(sql)
    const secrets = await chooseSecrets(sql, identity, given)
    await setFingerprint(sql, secrets.current.fingerprint)
    await sql.unsafe('commit')
    return { id: identity.id, secrets }
  } catch (error) {
    await sql.unsafe('rollback').catch(() => {})
    throw error
  }
}

async function chooseSecrets(
  sql: Sql,
  identity: CatalogIdentity,
  { secret, previous, isReplaced }: GivenSecrets,
): Promise<Secrets> {
  const text = await readStoredSecret(sql)
  const stored = text === undefined ? undefined : new Secret(text)
  const inForce = isReplaced
    ? null
    : identity.isNew
      ? await fingerprintOfRoles(sql, [secret, previous])
      : identity.fingerprint
  const isOf = (known: Secret | undefined) => known !== undefined && known.fingerprint === inForce
  let wanted = secret ?? stored
  if (!wanted) {
    if (inForce !== null && !isOf(previous)) throw new Error(SECRET_IS_MISSING)
    wanted = await makeUp(sql)
  }
  if (inForce === null) return new Secrets(wanted, wanted, previous)
  const current = [wanted, previous, stored].find(isOf)
  if (!current) throw new Error(SECRET_IS_ANOTHER)
  return new Secrets(current, wanted, previous ?? stored)
}

const RECOVERY =
  'Where it is lost: stop all gateways and run "update _db_gateway_catalog set secret_fingerprint = null" in the catalog; the next start gives all roles the passwords of its own'

const SECRET_IS_MISSING = `GATEWAY_SECRET is not set, and the catalog was made with one: set it. ${RECOVERY}`

const SECRET_IS_ANOTHER = `GATEWAY_SECRET is not the secret of this catalog: set the one that the other gateways have; to change it, set that one as GATEWAY_SECRET_PREVIOUS beside it. ${RECOVERY}`

/**
 * PostgreSQL makes it up, of 244 random bits, since its log may have what a statement brings. The
 * gateway's role alone can read it.
 */
async function makeUp(sql: Sql): Promise<Secret> {
  const [row] = await sql<{ secret: string }[]>`
    insert into _db_gateway_secret (secret)
    select replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')
    returning secret
  `
  return new Secret(row!.secret)
}

/**
 * Which secret a catalog goes by that does not say so itself: the roles of its platforms do. One that
 * is given goes before others that some role has.
 */
async function fingerprintOfRoles(sql: Sql, given: (Secret | undefined)[]): Promise<string | null> {
  const rows = await sql<{ comment: string | null }[]>`
    select distinct shobj_description(r.oid, 'pg_authid') as comment
    from _db_gateway_databases d
    join pg_roles r on r.rolname = d.owner_role
  `
  const found = rows.flatMap(({ comment }) => readMark(comment)?.fingerprint ?? [])
  const known = given.find((secret) => secret && found.includes(secret.fingerprint))
  return known?.fingerprint ?? found[0] ?? null
}
