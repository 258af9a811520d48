import type { SchemaFile } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import { databaseName, type Owner, quoteIdentifier } from '../names.ts'
import type { Sql } from '../postgres/connection.ts'
import {
  fromPostgres,
  isConnectionLost,
  isPostgresError,
  postgresDetails,
} from '../postgres/errors.ts'
import { asGateway } from './handover.ts'

interface WantedExtension {
  file: SchemaFile
  name: string
  version: string | undefined
  schema: string | undefined
}

/**
 * Creates the extensions that are not there: one a file, named by the file; `-- version:` and
 * `-- schema:` comments say which version, and where.
 * @throws {GatewayError} extension_not_available, extension_install_failed
 */
export async function createExtensions(
  sql: Sql,
  database: string,
  files: SchemaFile[],
): Promise<void> {
  if (files.length === 0) return
  const wanted = files.map(readExtension)
  const names = JSON.stringify(wanted.map((extension) => extension.name))
  const rows = await sql<{ name: string; installed: boolean }[]>`
    select name, installed_version is not null as installed
    from pg_available_extensions
    where name in (select json_array_elements_text(${names}::json))
  `
  for (const extension of wanted) {
    const found = rows.find((row) => row.name === extension.name)
    if (!found) throw notAvailable(database, extension)
    if (!found.installed) await createExtension(sql, database, extension)
  }
}

/**
 * Of the files, installs those whose extension is missing and is not for the owner of a database to
 * create: as the gateway's role, where the platform has another one. It stays, whatever becomes of
 * the deploy. `sql` is the deploy's.
 * @throws {GatewayError} extension_install_failed
 */
export async function installUntrusted(
  gateway: Gateway,
  sql: Sql,
  owner: Owner,
  files: SchemaFile[],
): Promise<void> {
  const role = gateway.roles.roleOf(owner.platform)
  if (role === null || files.length === 0) return
  const untrusted = await findUntrusted(sql, files.map(readExtension))
  if (untrusted.length === 0) return
  const database = databaseName(owner)
  await asGateway(gateway, database, async (own) => {
    for (const extension of untrusted) {
      // Without a schema it would go where names are found, which is none of the platform's.
      const { schema = 'public' } = extension
      await createExtension(own, database, { ...extension, schema }, role)
    }
  })
}

/** PostgreSQL manual, "Extension Control Files", `superuser` and `trusted`. */
async function findUntrusted(sql: Sql, wanted: WantedExtension[]): Promise<WantedExtension[]> {
  const list = wanted.map(({ name, version }) => ({ name, version }))
  const rows = await sql<{ name: string }[]>`
    select e.name
    from json_to_recordset(${JSON.stringify(list)}::json) as wanted (name text, version text)
    join pg_available_extensions e using (name)
    join pg_available_extension_versions v
      on v.name = e.name and v.version = coalesce(wanted.version, e.default_version)
    where e.installed_version is null and v.superuser and not v.trusted
  `
  const names = new Set(rows.map(({ name }) => name))
  return wanted.filter(({ name }) => names.has(name))
}

function readExtension(file: SchemaFile): WantedExtension {
  const comment = (name: string) =>
    new RegExp(`^--\\s*${name}:\\s*(\\S+)\\s*$`, 'm').exec(file.text)?.[1]
  return {
    file,
    name: file.name.replace(/^.*\//, '').replace(/\.[^.]*$/, ''),
    version: comment('version'),
    schema: comment('schema'),
  }
}

async function createExtension(
  sql: Sql,
  database: string,
  { file, name, version, schema }: WantedExtension,
  schemaOwner?: string,
): Promise<void> {
  const authorization = schemaOwner ? ` authorization ${quoteIdentifier(schemaOwner)}` : ''
  try {
    if (schema) {
      await sql.unsafe(`create schema if not exists ${quoteIdentifier(schema)}${authorization}`)
    }
    await sql.unsafe(
      `create extension ${quoteIdentifier(name)}` +
        (schema ? ` schema ${quoteIdentifier(schema)}` : '') +
        (version ? ` version ${quoteIdentifier(version)}` : '') +
        ' cascade',
    )
  } catch (error) {
    if (!isPostgresError(error) || isConnectionLost(error)) throw fromPostgres(error, database)
    throw new GatewayError('extension_install_failed', `Extension ${name} cannot be installed`, {
      database,
      ...postgresDetails(error),
      file: file.path,
    })
  }
}

function notAvailable(database: string, { file, name }: WantedExtension): GatewayError {
  return new GatewayError(
    'extension_not_available',
    `The PostgreSQL server does not have the extension ${name}`,
    { database, file: file.path },
  )
}
