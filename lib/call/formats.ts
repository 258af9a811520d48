/**
 * The settings that decide how PostgreSQL writes values, and with what they are put back behind a
 * function that may have changed them: the contract's UTC, ISO 8601, hex, all digits and UTF-8; null
 * stands for what the session began with. Left out are those that only decide how values are read or
 * made (xmloption, lc_time, …), which is over when the values are there, and search_path, which those
 * behind a function in its transaction find as it has left it.
 */
export const FORMATS = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  lc_monetary: null,
  quote_all_identifiers: null,
  client_encoding: 'UTF8',
} as const
