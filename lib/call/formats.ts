/**
 * The settings that decide how PostgreSQL writes values, with the values that the gateway
 * guarantees: UTC, ISO 8601, hex, all digits, UTF-8. The gateway restores them after a function
 * that may have changed them; null stands for the value at session start.
 *
 * Two kinds of settings are left out. Settings that only affect reading or creating values
 * (xmloption, lc_time, …) no longer matter once the values exist. search_path stays as the function
 * set it, for later functions in the same transaction.
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
