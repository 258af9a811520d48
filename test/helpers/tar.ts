import { gzipSync } from 'node:zlib'

/** A tar entry, valid or invalid; fields are written as given. */
export interface TarPart {
  name: string | Uint8Array
  data?: string | Uint8Array
  type?: string // '0' unless given
  magic?: string // 'ustar\0' + '00' unless given
  prefix?: string
  size?: string | Uint8Array // raw field that replaces the length of the data
  checksum?: (header: Buffer) => number // computes the raw field instead of the correct sum
}

/** Returns a header and its data, padded to whole blocks. */
export function tarEntry(part: TarPart): Buffer {
  const data = Buffer.from((part.data ?? '') as string)
  const header = Buffer.alloc(512)
  put(header, 0, part.name)
  put(header, 100, '0000644\0')
  put(header, 108, '0000000\0')
  put(header, 116, '0000000\0')
  put(header, 124, part.size ?? `${data.length.toString(8).padStart(11, '0')}\0`)
  put(header, 136, '00000000000\0')
  put(header, 156, part.type ?? '0')
  put(header, 257, part.magic ?? 'ustar\x0000')
  put(header, 345, part.prefix ?? '')
  sign(header, (part.checksum ?? sum)(header))
  return Buffer.concat([header, data, Buffer.alloc((512 - (data.length % 512)) % 512)])
}

/** Returns the entry of a plain file. */
export function tarFile(name: string, data: string | Uint8Array = 'select 1;\n'): Buffer {
  return tarEntry({ name, data })
}

/** Returns a pax header: 'x' applies to the next entry, 'g' to all that follow. */
export function paxEntry(records: Record<string, string>, type: 'x' | 'g' = 'x'): Buffer {
  const data = Object.entries(records).map(([key, value]) => paxRecord(key, value))
  return tarEntry({ name: 'PaxHeaders/next', type, data: Buffer.concat(data) })
}

/** Returns a pax record, `<length> <key>=<value>\n`; the length includes its own digits. */
export function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest
  while (length !== rest + String(length).length) length = rest + String(length).length
  return Buffer.from(`${length} ${key}=${value}\n`)
}

/** Returns GNU tar's long name for the next entry. */
export function longNameEntry(name: string): Buffer {
  const part = { name: '././@LongLink', type: 'L', magic: 'ustar  \0', data: `${name}\0` }
  return tarEntry(part)
}

/** Returns a complete tar: the entries and two zero blocks. */
export function tar(...entries: Buffer[]): Buffer {
  return Buffer.concat([...entries, Buffer.alloc(1024)])
}

/** Returns a complete tar.gz. */
export function tarGz(...entries: Buffer[]): Buffer {
  return gzipSync(tar(...entries))
}

/**
 * Returns the header's checksum: the sum of its bytes, with the checksum field counted as spaces.
 */
export function sum(header: Uint8Array): number {
  return header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0)
}

/** Writes the checksum into the header. */
export function sign(header: Buffer, checksum = sum(header)): void {
  put(header, 148, `${checksum.toString(8).padStart(6, '0')}\0 `)
}

function put(header: Buffer, offset: number, value: string | Uint8Array): void {
  header.set(typeof value === 'string' ? Buffer.from(value) : value, offset)
}
