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
): Promise<void> {
  try {
    if (schema) await sql.unsafe(`create schema if not exists ${quoteIdentifier(schema)}`)
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
