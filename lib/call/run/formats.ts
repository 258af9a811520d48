/**
 * The settings that decide how PostgreSQL writes values, as sessions begin with them: the contract's
 * UTC, ISO 8601, hex, and all digits.
 */
export const FORMATS = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
} as const

/** SQL, a list of columns: gives the transaction these settings. */
export const NATIVE_FORMATS = Object.entries(FORMATS)
  .map(([name, value]) => `pg_catalog.set_config('${name}', '${value}', true)`)
  .join(', ')

/**
 * SQL, a join: gives the transaction these settings for each row of `r`, when the row is there and
 * before it is written. The values look at the row, which keeps PostgreSQL from doing it earlier.
 */
export const NATIVE_FORMATS_FOR_ROWS = ` cross join lateral (select ${Object.entries(FORMATS)
  .map(([name, value]) => {
    const seen = `case when r is null then '${value}' else '${value}' end`
    return `pg_catalog.set_config('${name}', ${seen}, true)`
  })
  .join(', ')} offset 0) as f`
