const COUNT = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
const AGO = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'short' })

const NONE = '–'

/** @param {number | null | undefined} value `1,234.5` */
export function formatCount(value) {
  return value === null || value === undefined ? NONE : COUNT.format(value)
}

/** @param {number | null | undefined} value `1.2M` */
export function formatShort(value) {
  return value === null || value === undefined ? NONE : SHORT.format(value)
}

/** @param {number | null | undefined} bytes `9.1 MiB` */
export function formatBytes(bytes) {
  if (bytes === null || bytes === undefined) return NONE
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1)
  return `${COUNT.format(bytes / 1024 ** power)} ${units[power]}`
}

/** @param {number | null | undefined} ms `0.4 ms`, `12 ms`, `3.1 s`, `2 min 5 s` */
export function formatMs(ms) {
  if (ms === null || ms === undefined) return NONE
  if (ms < 10) return `${COUNT.format(ms)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${COUNT.format(ms / 1000)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  if (seconds < 86_400)
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`
}

/** @param {number | null | undefined} seconds as `formatMs` */
export function formatSeconds(seconds) {
  return formatMs(seconds === null || seconds === undefined ? null : seconds * 1000)
}

/** @param {string | number | null | undefined} time in the zone of the browser */
export function formatTime(time) {
  return time === null || time === undefined ? NONE : TIME.format(new Date(time))
}

/** @param {string | number | null | undefined} time `3 min. ago` */
export function formatAgo(time) {
  if (time === null || time === undefined) return NONE
  const seconds = Math.round((Date.now() - new Date(time).getTime()) / 1000)
  if (seconds < 60) return AGO.format(-seconds, 'second')
  if (seconds < 3600) return AGO.format(-Math.round(seconds / 60), 'minute')
  if (seconds < 86_400) return AGO.format(-Math.round(seconds / 3600), 'hour')
  return AGO.format(-Math.round(seconds / 86_400), 'day')
}

/** @param {string | null | undefined} checksum the first 8 digits */
export function formatChecksum(checksum) {
  return checksum ? checksum.slice(0, 8) : NONE
}

/** @param {(string | number)[]} names @param {number} most that are written out `t1, t2 and 8 more` */
export function namesText(names, most) {
  const rest = names.length - most
  return `${names.slice(0, most).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`
}

/** @param {number} count @param {string} one `1 tenant`, `3 tenants` @param {string} [many] */
export function plural(count, one, many = `${one}s`) {
  return `${COUNT.format(count)} ${count === 1 ? one : many}`
}
