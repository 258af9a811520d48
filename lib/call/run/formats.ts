import { FORMATS } from '../formats.ts'

const SETTINGS = Object.entries(FORMATS).map(([name, value]) => ({
  name,
  value: value === null ? 'null::text' : `'${value}'`,
}))

/** SQL, a list of columns: gives the transaction these settings. */
export const NATIVE_FORMATS = SETTINGS.map(
  ({ name, value }) => `pg_catalog.set_config('${name}', ${value}, true)`,
).join(', ')

/**
 * SQL, a join: gives the transaction these settings for each row of `r`, when the row is there and
 * before it is written. The values look at the row, which keeps PostgreSQL from doing it earlier.
 */
function formatsForRows(isLocal: (name: string) => boolean): string {
  const columns = SETTINGS.map(({ name, value }) => {
    const seen = `case when r is null then ${value} else ${value} end`
    return `pg_catalog.set_config('${name}', ${seen}, ${isLocal(name)})`
  })
  return ` cross join lateral (select ${columns.join(', ')} offset 0) as f`
}

/** Behind a function that sets nothing for its session. */
export const LOCAL_FORMATS_FOR_ROWS = formatsForRows(() => true)

/**
 * Behind what may have set things for its session, which is reset afterwards. Until then the session
 * must not have another encoding: it is what the gateway writes and reads.
 */
export const NATIVE_FORMATS_FOR_ROWS = formatsForRows((name) => name !== 'client_encoding')
