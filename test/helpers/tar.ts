import { gzipSync } from 'node:zlib'

/** One entry as a test wants it, right or wrong; fields are written as they are given. */
export interface TarPart {
  name: string | Uint8Array
  data?: string | Uint8Array
  type?: string // '0' unless given
  magic?: string // 'ustar\0' + '00' unless given
  prefix?: string
  size?: string | Uint8Array // the raw field instead of the data's length
  checksum?: (header: Buffer) => number // instead of the right sum
}

/** A header and its data, padded to whole blocks. */
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

/** A plain file. */
export function tarFile(name: string, data: string | Uint8Array = 'select 1;\n'): Buffer {
  return tarEntry({ name, data })
}

/** A pax header ('x' for the next entry, 'g' for all that follow). */
export function paxEntry(records: Record<string, string>, type: 'x' | 'g' = 'x'): Buffer {
  const data = Object.entries(records).map(([key, value]) => paxRecord(key, value))
  return tarEntry({ name: 'PaxHeaders/next', type, data: Buffer.concat(data) })
}

/** `<length> <key>=<value>\n`, whose length counts its own digits. */
export function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest
  while (length !== rest + String(length).length) length = rest + String(length).length
  return Buffer.from(`${length} ${key}=${value}\n`)
}

/** GNU tar's long name for the next entry. */
export function longNameEntry(name: string): Buffer {
  const part = { name: '././@LongLink', type: 'L', magic: 'ustar  \0', data: `${name}\0` }
  return tarEntry(part)
}

/** A whole tar: the entries and the two zero blocks at its end. */
export function tar(...entries: Buffer[]): Buffer {
  return Buffer.concat([...entries, Buffer.alloc(1024)])
}

/** A whole tar.gz. */
export function tarGz(...entries: Buffer[]): Buffer {
  return gzipSync(tar(...entries))
}

/** The header's checksum: its bytes' sum, the checksum itself counted as spaces. */
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
