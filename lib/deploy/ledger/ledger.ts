import type { Section } from '../../archive/archive.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { CATALOG_DIGEST } from '../objects/digest.ts'
import { digestOf, LEDGER_VERSION, STANDING } from './key.ts'
import { IS_MARKED, IS_OF_ORIGINAL } from './original.ts'

/**
 * invalid_schema_name, undefined_function, insufficient_privilege: the ledger is missing or not
 * readable.
 */
const NOT_PREPARED = new Set(['3F000', '42883', '42501'])

/** Sections in _db_gateway_files; migrations have a table of their own. */
export type FileSection = Exclude<Section, 'migrations'>

/** An object that a file created, as recorded in the ledger. */
export interface LedgerObject {
  /** Kind of the object: function, view, … */
  kind: string
  /** Name of the object as SQL; for a function schema.name(types). */
  identity: string
  [more: string]: unknown
}

/** A file that was deployed to the database. */
export interface LedgerFile {
  checksum: string
  objects: LedgerObject[]
}

/** A migration that was applied, or that was begun outside of a transaction and not finished. */
export interface LedgerMigration {
  checksum: string
  status: 'applied' | 'begun'
  error: string | null
}

/** The contents of a database's ledger. Maps are keyed by file name. */
export interface Ledger {
  /** Checksum of the archive that was deployed last; null before the first successful deploy. */
  archiveChecksum: string | null
  tablesChecksum: string | null
  /** Digest of the catalogs right after that deploy. */
  catalogDigest: string | null
  /** Paths of files that a later, unfinished deploy committed. */
  committedSince: Set<string>
  /** Warnings of that deploy that apply for as long as its archive is in place. */
  standing: string[]
  /** Whether that deploy deployed only the functions, views and triggers of its archive. */
  isOnlyCode: boolean
  /** Whether the database existed before the gateway, which has not deployed to it yet. */
  isTakenOver: boolean
  /** Whether, in addition, an original gateway since 1.1 managed the database. */
  isOfOriginal: boolean
  /** Digest of the catalogs now. */
  currentDigest: string
  /** Next transaction id of the server at the time of reading. */
  nextXid: bigint
  /** Number of the key that the next write takes. */
  keyNumber: number
  migrations: Map<string, LedgerMigration>
  types: Map<string, string>
  functions: Map<string, { checksum: string; functions: string[] }>
  views: Map<string, { checksum: string; views: string[] }>
  seeders: Map<string, string>
  /** Returns the files of a section, by name. */
  filesOf(section: FileSection): Map<string, LedgerFile>
}

/** Whether the ledger exists in the current version and accepts keys derived from this secret. */
export async function acceptsKey(sql: Sql, key: string): Promise<boolean> {
  try {
    const [row] = await sql.unsafe<{ version: number; number: string; digest: string }[]>(
      'select version, number::pg_catalog.text as number, digest from _db_gateway.state()',
    )
    return row?.version === LEDGER_VERSION && row.digest === digestOf(key, Number(row.number))
  } catch (error) {
    if (isPostgresError(error) && NOT_PREPARED.has(error.code)) return false
    throw error
  }
}

/** Reads the number of the key that the ledger's next write takes. */
export async function readKeyNumber(sql: Sql): Promise<number> {
  const [row] = await sql.unsafe<[{ number: string }]>(
    'select number::pg_catalog.text as number from _db_gateway.state()',
  )
  return Number(row.number)
}

interface LedgerRow {
  archive_checksum: string | null
  tables_checksum: string | null
  catalog_digest: string | null
  only_code: boolean | null
  is_of_original: boolean
  is_marked: boolean
  committed_since: string[]
  current_digest: string
  next_xid: string
  number: string
  migrations: [string, LedgerMigration][]
  files: [FileSection, string, LedgerFile][]
  standing: string[]
}

/**
 * Reads the ledger, whose tables must exist. Takes one round trip, since a query without parameters
 * needs no describe step.
 */
export async function readLedger(sql: Sql): Promise<Ledger> {
  const [row] = await sql.unsafe<[LedgerRow]>(READ)
  const sections = new Map<FileSection, Map<string, LedgerFile>>()
  for (const [section, name, file] of row.files) {
    const files = sections.get(section) ?? new Map<string, LedgerFile>()
    sections.set(section, files.set(name, file))
  }
  const filesOf = (section: FileSection) => sections.get(section) ?? new Map<string, LedgerFile>()
  const namesOf = ({ objects }: LedgerFile, kinds: string[]) =>
    objects.filter(({ kind }) => kinds.includes(kind)).map(({ identity }) => identity)
  const mapped = <T>(section: FileSection, to: (file: LedgerFile) => T) =>
    new Map([...filesOf(section)].map(([name, file]) => [name, to(file)]))
  const isFirst = row.archive_checksum === null && !sections.has('seeders')
  return {
    archiveChecksum: row.archive_checksum,
    isTakenOver: isFirst && (row.is_of_original || row.is_marked),
    isOfOriginal: isFirst && row.is_of_original,
    tablesChecksum: row.tables_checksum,
    catalogDigest: row.catalog_digest,
    committedSince: new Set(row.committed_since),
    standing: row.standing,
    isOnlyCode: row.only_code ?? false,
    currentDigest: row.current_digest,
    nextXid: BigInt(row.next_xid),
    keyNumber: Number(row.number),
    migrations: new Map(row.migrations),
    filesOf,
    types: mapped('types', ({ checksum }) => checksum),
    functions: mapped('functions', (file) => ({
      checksum: file.checksum,
      functions: namesOf(file, ['function', 'procedure', 'aggregate']),
    })),
    views: mapped('views', (file) => ({
      checksum: file.checksum,
      views: namesOf(file, ['view', 'materialized view']),
    })),
    seeders: mapped('seeders', ({ checksum }) => checksum),
  }
}

/**
 * Returns SQL for the standing warnings of the deploy of this archive; it reads one row by its key.
 */
function standingOf(checksum: string): string {
  return `coalesce((
    select objects from public._db_gateway_files
    where section = '${STANDING}' and name = 'warnings' and checksum = ${checksum}
  ), '[]')`
}

const READ = `
  select
    last.archive_checksum,
    last.tables_checksum,
    last.catalog_digest,
    last.only_code,
    ${IS_OF_ORIGINAL} as is_of_original,
    ${IS_MARKED} as is_marked,
    ${CATALOG_DIGEST} as current_digest,
    pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text as next_xid,
    (select number::pg_catalog.text from _db_gateway.state()) as number,
    (select coalesce(json_agg(json_build_array(
        migration_file,
        json_build_object('checksum', checksum, 'status', status, 'error', error)
      )), '[]') from public._db_gateway_migrations) as migrations,
    (select coalesce(json_agg(json_build_array(
        section, name, json_build_object('checksum', checksum, 'objects', objects)
      )), '[]') from public._db_gateway_files
      where section <> '${STANDING}') as files,
    ${standingOf('last.archive_checksum')} as standing,
    (select coalesce(json_agg(path), '[]') from (
        select 'migrations/' || migration_file as path from public._db_gateway_migrations
        where applied_at > last.deployed_at
        union all
        select section || '/' || name from public._db_gateway_files
        where section <> '${STANDING}' and deployed_at > last.deployed_at
      ) as since) as committed_since
  from (values (1)) as always
  left join (
    select archive_checksum, tables_checksum, catalog_digest, only_code, deployed_at
    from public._db_gateway_deployments
    where status = 'completed'
    order by id desc
    limit 1
  ) as last on true
`

/**
 * Whether the catalogs or files changed after the last successful deploy: by a person, or by a
 * deploy that did not finish.
 */
export function isTouched({ catalogDigest, currentDigest, committedSince }: Ledger): boolean {
  return catalogDigest !== currentDigest || committedSince.size > 0
}

/**
 * Whether the archive with this checksum was the last one deployed and its objects are unchanged
 * since. A row of the ledger's first version has no digest and counts as unchanged.
 */
export function isInPlace(ledger: Ledger, archiveChecksum: string): boolean {
  const { catalogDigest, currentDigest } = ledger
  const isAsLeft = catalogDigest === null || catalogDigest === currentDigest
  return ledger.archiveChecksum === archiveChecksum && isAsLeft
}

/**
 * Returns SQL that reads the last successful deploy and, if it was of this archive, whether the
 * objects are unchanged since. Takes no lock.
 */
export function lastDeploySql(archiveChecksum: string): string {
  return `
    select archive_checksum, functions_deployed,
      ${standingOf('archive_checksum')} as standing,
      case when archive_checksum = ${quoteLiteral(archiveChecksum)} then
        catalog_digest is null or catalog_digest = ${CATALOG_DIGEST}
      end as is_as_left
    from public._db_gateway_deployments
    where status = 'completed'
    order by id desc
    limit 1
  `
}

/** A row of the query that `lastDeploySql` returns. */
export interface LastDeploy {
  archive_checksum: string
  functions_deployed: number
  standing: string[]
  /** Null if the last deploy was of another archive. */
  is_as_left: boolean | null
}

/** Returns the number of functions that the deployed files created. */
export function countFunctions({ functions }: Ledger): number {
  let count = 0
  for (const file of functions.values()) count += file.functions.length
  return count
}
