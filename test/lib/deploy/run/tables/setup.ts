import { expect, vi } from 'vitest'
import type { SchemaFile } from '../../../../../lib/archive/archive.ts'
import { deployTables } from '../../../../../lib/deploy/run/tables.ts'
import { GatewayError } from '../../../../../lib/errors.ts'
import { connection, database, setUp, sql } from '../../../../helpers/database-for-each.ts'
import type { Json } from '../../../../helpers/gateway.ts'
import type { Files } from '../../../../helpers/platforms.ts'

export { connection, database, setUp, sql }

export const deploy = (files: Files) => deployTables(sql, database, schemaFiles(files))

export const differences = async (...texts: string[]) => {
  const result = await deploy(Object.fromEntries(texts.map((text, i) => [`${i}.pssql`, text])))
  expect(result.created).toEqual([])
  return result.differences
}

/** What the client would be told. */
export const failure = async (files: Files): Promise<Json> => {
  const error = await deploy(files).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(GatewayError)
  const { code, status, message, details } = error as GatewayError
  return { code, status, message, ...details }
}

export const tables = async (): Promise<string[]> => {
  const rows = await sql.unsafe<{ name: string }[]>(
    `select oid::regclass::text as name from pg_class
     where relkind in ('r', 'p') and relnamespace::regnamespace::text !~ '^(pg_|information)'
     order by 1`,
  )
  return rows.map((row) => row.name)
}

/** Sees whether files are run one statement at a time: their order was not good enough. */
export const watchRounds = () => {
  const unsafe = vi.spyOn(sql, 'unsafe')
  return () => unsafe.mock.calls.filter(([text]) => text === 'savepoint one_statement').length
}

export function schemaFiles(files: Files): SchemaFile[] {
  return Object.entries(files).map(([name, text]) => ({
    path: `tables/${name}`,
    name,
    text,
    checksum: text,
    rawChecksum: '',
  }))
}
