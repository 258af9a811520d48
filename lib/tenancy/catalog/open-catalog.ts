import type { Sql } from '../../postgres/pools/connection.ts'
import { inTransaction } from '../../postgres/transaction.ts'
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
import { checkInstallation } from './main-catalog.ts'

/** Secrets from the settings or from the data folder. */
export interface GivenSecrets {
  secret: Secret | undefined
  previous: Secret | undefined
  /**
   * True if the secret file of the data folder was removed by hand, which asks for a new secret.
   */
  isReplaced: boolean
}

/** A catalog that this gateway may work with. */
export interface OpenCatalog {
  id: string
  secrets: Secrets
}

/**
 * Opens the catalog in the connection's database, creates it if it is missing, and finds the secret
 * in force. Without a secret in the settings, the first gateway generates one and stores it in the
 * catalog.
 * @param mainId id of the catalog of `main`; undefined: it is this one
 * @throws {Error} with a message of one line, if a newer gateway has changed the catalog, or if
 *   this gateway does not have its secret, or if it belongs to another installation
 */
export async function openCatalog(
  sql: Sql,
  given: GivenSecrets,
  mainId: string | undefined,
): Promise<OpenCatalog> {
  await checkCatalog(sql)
  await checkInstallation(sql, mainId)
  await createCatalog(sql)
  return inTransaction(sql, async () => {
    const identity = await readIdentity(sql)
    const secrets = await chooseSecrets(sql, identity, given)
    await setFingerprint(sql, secrets.current.fingerprint)
    return { id: identity.id, secrets }
  })
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
  'If the secret is lost: stop all gateways and run "update _db_gateway_catalog set secret_fingerprint = null" in the catalog; the next start gives all roles passwords derived from its own secret'

const SECRET_IS_MISSING = `GATEWAY_SECRET is not set, but the catalog uses a secret: set GATEWAY_SECRET to it. ${RECOVERY}`

const SECRET_IS_ANOTHER = `GATEWAY_SECRET is not the secret of this catalog: set the secret that the other gateways have; to change the secret, also set the old one as GATEWAY_SECRET_PREVIOUS. ${RECOVERY}`

/**
 * Generates a secret of 244 random bits and stores it. PostgreSQL generates it, because a server
 * log may contain the text of statements. Only the gateway's role can read the table.
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
 * Returns the fingerprint of the secret in force for a catalog that does not record it, read from
 * the comments of the platforms' roles; null if no role has one. A given secret takes precedence
 * over others found on roles.
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
