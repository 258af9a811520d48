import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import type { SchemaFile } from '../../../../../lib/archive/archive.ts'
import { deployTypes } from '../../../../../lib/deploy/run/types.ts'
import { GatewayError } from '../../../../../lib/errors.ts'
import { connection, database, setUp, sql } from '../../../../helpers/database-for-each.ts'
import type { Json } from '../../../../helpers/gateway.ts'
import type { Files } from '../../../../helpers/platforms.ts'

export { connection, database, setUp, sql }

export const deploy = (files: Files, known: Files = {}) =>
  deployTypes(sql, database, schemaFiles(files), checksums(known))

export const deployed = (files: Files, known: Files = {}) =>
  deploy(files, known).then(({ created, changed }) => ({ created, changed }))

/** What the client would be told. */
export const failure = async (files: Files): Promise<Json> => {
  const error = await deploy(files).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(GatewayError)
  const { code, status, message, details } = error as GatewayError
  return { code, status, message, ...details }
}

/** Commits, so that what follows is another deploy. */
export const nextDeploy = () => sql.unsafe('commit; begin')

export const labels = async (type: string): Promise<string[]> => {
  const rows = await sql.unsafe<{ label: string }[]>(
    `select enumlabel as label from pg_enum where enumtypid = '${type}'::regtype order by enumsortorder`,
  )
  return rows.map((row) => row.label)
}

export const attributes = async (type: string): Promise<string[]> => {
  const rows = await sql.unsafe<{ attribute: string }[]>(
    `select attname || ' ' || format_type(atttypid, atttypmod) as attribute
     from pg_attribute where attrelid = '${type}'::regclass order by attnum`,
  )
  return rows.map((row) => row.attribute)
}

/** The value of an expression, as text; or the SQLSTATE. */
export const evaluate = async (expression: string): Promise<string | null> => {
  await sql.unsafe('savepoint evaluate')
  try {
    const [row] = await sql.unsafe<{ value: string | null }[]>(
      `select (${expression})::text as value`,
    )
    return row!.value
  } catch (error) {
    return (error as { code: string }).code
  } finally {
    await sql.unsafe('rollback to savepoint evaluate')
  }
}

export function schemaFiles(files: Files): SchemaFile[] {
  return Object.entries(files).map(([name, text]) => ({
    path: `types/${name}`,
    name,
    text,
    checksum: checksum(text),
    rawChecksum: checksum(text),
  }))
}

export function checksums(files: Files): Map<string, string> {
  return new Map(Object.entries(files).map(([name, text]) => [name, checksum(text)]))
}

export function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
