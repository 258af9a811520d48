import { FORMATS } from '../formats.ts'

const SETTINGS = Object.entries(FORMATS).map(([name, value]) => ({
  name,
  value: value === null ? 'null::text' : `'${value}'`,
}))

/** SQL, a list of columns: sets FORMATS for the transaction. */
export const NATIVE_FORMATS = SETTINGS.map(
  ({ name, value }) => `pg_catalog.set_config('${name}', ${value}, true)`,
).join(', ')

/**
 * Returns SQL, a join: sets FORMATS for each row of `r`, after the row exists and before it is
 * written. The values refer to the row, which prevents PostgreSQL from evaluating them earlier.
 */
function formatsForRows(isLocal: (name: string) => boolean): string {
  const columns = SETTINGS.map(({ name, value }) => {
    const seen = `case when r is null then ${value} else ${value} end`
    return `pg_catalog.set_config('${name}', ${seen}, ${isLocal(name)})`
  })
  return ` cross join lateral (select ${columns.join(', ')} offset 0) as f`
}

/** After a function that changes settings only for its transaction. */
export const LOCAL_FORMATS_FOR_ROWS = formatsForRows(() => true)

/**
 * After a function that may have changed settings of its session. The session is reset later; until
 * then it must keep the client_encoding that the gateway reads and writes.
 */
export const NATIVE_FORMATS_FOR_ROWS = formatsForRows((name) => name !== 'client_encoding')
