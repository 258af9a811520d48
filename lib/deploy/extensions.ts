import type { SchemaFile } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import { quoteIdentifier } from '../names.ts'
import type { Sql } from '../postgres/connection.ts'
import {
  fromPostgres,
  isConnectionLost,
  isPostgresError,
  postgresDetails,
} from '../postgres/errors.ts'

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
 * Of the files, those whose extension is missing and is not for the owner of a database to create
 * (PostgreSQL manual, "Extension Control Files", `superuser` and `trusted`).
 */
export async function findUntrusted(sql: Sql, files: SchemaFile[]): Promise<SchemaFile[]> {
  const wanted = files.map(readExtension)
  const list = wanted.map(({ name, version }) => ({ name, version }))
  const rows = await sql<{ name: string }[]>`
    select distinct e.name
    from json_to_recordset(${JSON.stringify(list)}::json) as wanted (name text, version text)
    join pg_available_extensions e using (name)
    join pg_available_extension_versions v
      on v.name = e.name and v.version = coalesce(wanted.version, e.default_version)
    where e.installed_version is null and v.superuser and not v.trusted
  `
  const names = new Set(rows.map(({ name }) => name))
  return wanted.filter(({ name }) => names.has(name)).map(({ file }) => file)
}

/**
 * Creates these extensions as the gateway's role; the schemas they ask for are `role`'s.
 * @throws {GatewayError} extension_install_failed
 */
export async function installExtensions(
  sql: Sql,
  database: string,
  files: SchemaFile[],
  role: string,
): Promise<void> {
  for (const extension of files.map(readExtension)) {
    // Without one it would go where names are found, which is nowhere of the platform's.
    await createExtension(
      sql,
      database,
      { ...extension, schema: extension.schema ?? 'public' },
      role,
    )
  }
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
