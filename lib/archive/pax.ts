import { refusal } from './refuse.ts'

/** Values from metadata entries for the entry that follows; they override its header. */
export interface Overrides {
  path?: Buffer
  size?: number
  sparse?: boolean
}

/**
 * Reads the records of a pax extended header (POSIX.1-2001, pax "Extended Header"): `<length>
 * <key>=<value>\n`. The length is in bytes and includes itself, so that a value may contain any
 * byte. An empty value cancels an earlier one.
 * @param where names the header in errors
 * @throws {GatewayError} schema_extraction_failed if a record is malformed
 */
export function readPax(data: Buffer, where: string): Overrides {
  const overrides: Overrides = {}
  let start = 0
  while (start < data.length) {
    const space = data.indexOf(0x20, start)
    const digits = data.toString('latin1', start, Math.min(space, start + 10))
    const end = start + Number(digits)
    if (!/^\d+$/.test(digits) || end <= space || data[end - 1] !== 0x0a) {
      throw refusal(`${where} is malformed: record length at byte ${start}`)
    }
    const record = data.subarray(space + 1, end - 1)
    const equals = record.indexOf(0x3d)
    if (equals < 1) throw refusal(`${where} is malformed: no keyword at byte ${start}`)
    apply(overrides, record.toString('latin1', 0, equals), record.subarray(equals + 1), where)
    start = end
  }
  return overrides
}

function apply(overrides: Overrides, key: string, value: Buffer, where: string): void {
  if (key === 'path') {
    overrides.path = value.length > 0 ? value : undefined
  } else if (key === 'size') {
    overrides.size = value.length > 0 ? readSize(value.toString('latin1'), where) : undefined
  } else if (key.startsWith('GNU.sparse.')) {
    // GNU tar manual, "Storing Sparse Files": the data starts with a map of the file.
    overrides.sparse = true
  }
}

function readSize(digits: string, where: string): number {
  if (!/^\d{1,15}$/.test(digits)) throw refusal(`${where} is malformed: its size is not a number`)
  return Number(digits)
}
