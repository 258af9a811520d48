import type { SchemaFile } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import {
  fromPostgres,
  isConnectionLost,
  isPostgresError,
  postgresDetails,
} from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { asGateway } from '../database/handover.ts'
import type { DeployParts } from '../parts.ts'

interface WantedExtension {
  file: SchemaFile
  name: string
  version: string | undefined
  schema: string | undefined
}

/** Result of deploying the extensions. */
export interface ExtensionsResult {
  warnings: string[]
  /** Missing extensions that only the gateway's role can create; a dry run does not create them. */
  lacking: string[]
  /** An extension was created or updated. */
  hasChanged: boolean
}

/**
 * Creates missing extensions. Each file stands for the extension of its name; the comments `--
 * version:` and `-- schema:` select a version and a schema. An installed extension of another
 * version is updated.
 * @throws {GatewayError} extension_not_available, extension_install_failed
 */
export async function createExtensions(
  sql: Sql,
  database: string,
  files: SchemaFile[],
  isDryRun: boolean,
): Promise<ExtensionsResult> {
  const result: ExtensionsResult = { warnings: [], lacking: [], hasChanged: false }
  if (files.length === 0) return result
  const wanted = files.map(readExtension)
  const found = await findInstalled(sql, wanted)
  const untrusted = isDryRun ? await findUntrusted(sql, wanted) : []
  for (const extension of wanted) {
    const { name, version, schema, file } = extension
    const there = found.get(name)
    if (hasText(extension)) {
      result.warnings.push(
        `${file.path}: the statements were not run; only the comments of an extension's file have an effect`,
      )
    }
    if (!there) throw notAvailable(database, extension)
    if (there.version === null) {
      const isForGateway = untrusted.includes(extension) && !there.isSuperuser
      if (isForGateway) result.lacking.push(name)
      else await createExtension(sql, database, extension)
      result.hasChanged = true
      continue
    }
    if (version !== undefined && version !== there.version) {
      await updateExtension(sql, database, extension)
      result.hasChanged = true
    }
    if (schema !== undefined && schema !== there.schema) {
      result.warnings.push(
        `${file.path} asks for schema ${schema}, but the extension is installed in ${there.schema} and stays there`,
      )
    }
  }
  if (result.lacking.length > 0) {
    result.warnings.push(
      `The dry run did not install ${result.lacking.join(', ')}, which a deploy installs as the gateway's role`,
    )
  }
  return result
}

/**
 * undefined_object, undefined_function, undefined_table, invalid_schema_name, undefined_column: the
 * missing object may belong to an extension.
 */
const MAY_BE_LACKING = new Set(['42704', '42883', '42P01', '3F000', '42703'])

/**
 * Returns the warning of a dry run that may have failed because of an extension that it does not
 * install; undefined for any other failure.
 */
export function lackingExtension({ details }: GatewayError, lacking: string[]): string | undefined {
  if (lacking.length === 0 || !MAY_BE_LACKING.has(String(details.sqlstate))) return undefined
  const place = details.line === undefined ? details.file : `${details.file}, line ${details.line},`
  return (
    `${place} may need ${lacking.join(', ')}: a dry run can check neither this statement nor ` +
    `those after it (${details.cause})`
  )
}

/**
 * Returns the installed version and schema of each available extension, by name; null if it is not
 * installed.
 */
async function findInstalled(sql: Sql, wanted: WantedExtension[]) {
  const names = JSON.stringify(wanted.map((extension) => extension.name))
  const rows = await sql.unsafe<
    { name: string; version: string | null; schema: string | null; superuser: string }[]
  >(`
    select a.name, e.extversion as version, e.extnamespace::regnamespace::text as schema,
      current_setting('is_superuser') as superuser
    from pg_available_extensions a
    left join pg_extension e on e.extname = a.name
    where a.name in (select json_array_elements_text(${quoteLiteral(names)}::json))
  `)
  return new Map(
    rows.map(({ name, version, schema, superuser }) => [
      name,
      { version, schema, isSuperuser: superuser === 'on' },
    ]),
  )
}

/**
 * Whether a file has statements other than the CREATE EXTENSION that the gateway runs in its place.
 */
function hasText({ file, name }: WantedExtension): boolean {
  const text = file.text.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, '')
  const [, created = ''] = CREATE.exec(text) ?? []
  return text.trim() !== '' && created.replaceAll('"', '').toLowerCase() !== name
}

const CREATE = /^\s*create\s+extension\s+(?:if\s+not\s+exists\s+)?("[^"]+"|\w+)\s*;?\s*$/i

async function updateExtension(
  sql: Sql,
  database: string,
  { file, name, version }: WantedExtension,
): Promise<void> {
  try {
    const to = quoteIdentifier(version!)
    await sql.unsafe(`alter extension ${quoteIdentifier(name)} update to ${to}`)
  } catch (error) {
    if (!isPostgresError(error) || isConnectionLost(error)) throw fromPostgres(error, database)
    throw new GatewayError('extension_install_failed', `Extension ${name} cannot be updated`, {
      database,
      ...postgresDetails(error),
      file: file.path,
    })
  }
}

/**
 * Installs missing extensions that the owner of a database may not create, as the gateway's role.
 * Does nothing if platforms share the gateway's role. The extensions stay if the deploy fails.
 * @param sql connection of the deploy
 * @throws {GatewayError} extension_install_failed
 */
export async function installUntrusted(
  parts: DeployParts,
  sql: Sql,
  owner: Owner,
  files: SchemaFile[],
): Promise<void> {
  const role = parts.roles.roleOf(owner.platform)
  if (role === null || files.length === 0) return
  const untrusted = await findUntrusted(sql, files.map(readExtension))
  if (untrusted.length === 0) return
  const database = databaseName(owner)
  await asGateway(parts, database, async (own) => {
    for (const extension of untrusted) {
      // asGateway sets search_path to pg_catalog, where the extension would be created by default.
      const { schema = 'public' } = extension
      await createExtension(own, database, { ...extension, schema }, role)
    }
  })
}

/**
 * Returns the missing extensions that only a superuser may create (PostgreSQL manual, "Extension
 * Control Files", `superuser` and `trusted`).
 */
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

/** Extensions that are commonly known by another name than PostgreSQL's. */
const OTHER_NAMES: Record<string, string> = { pgvector: 'vector' }

/** Returns PostgreSQL's names of the extensions of these files. */
export function extensionNames(files: SchemaFile[]): string[] {
  return files.map((file) => readExtension(file).name)
}

function readExtension(file: SchemaFile): WantedExtension {
  const comment = (name: string) =>
    new RegExp(`^--\\s*${name}:\\s*(\\S+)\\s*$`, 'm').exec(file.text)?.[1]
  const name = file.name.replace(/^.*\//, '').replace(/\.[^.]*$/, '')
  return {
    file,
    name: OTHER_NAMES[name] ?? name,
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
  if (schema === '_db_gateway') {
    // The gateway's role could install it there; the ledger could never be made again then.
    throw new GatewayError('extension_install_failed', `Extension ${name} cannot be installed`, {
      database,
      cause: `The schema ${schema} belongs to the gateway`,
      file: file.path,
    })
  }
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
