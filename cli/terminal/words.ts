/** Returns "1 function", "2 functions". */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

/** Returns a duration for a person: "412 ms", "3.5 s", "2 min 5 s". */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** Returns the first characters of a checksum, by which a person tells it from others. */
export function short(checksum: string): string {
  return checksum.slice(0, 12)
}

/** Returns the parts of a sentence that say something, with commas between; or `none`. */
export function listed(parts: (string | false | undefined)[], none: string): string {
  return parts.filter(Boolean).join(', ') || none
}

/** Returns a size for a person, in the units of PostgreSQL (1 kB is 1024 bytes): "812 bytes", "4.2 kB". */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return count(bytes, 'byte')
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} kB`
  if (bytes < 1024 ** 3) return `${(bytes / 1024 ** 2).toFixed(1)} MB`
  return `${(bytes / 1024 ** 3).toFixed(1)} GB`
}
