import { gzipSync } from 'node:zlib'

const BLOCK = 512
const NAME_BYTES = 100

/**
 * Packs files into a tar.gz (POSIX.1-2001, "pax Interchange Format"). The name of a folder ends in a
 * slash. The bytes depend on the names and contents alone.
 */
export function packTar(files: { name: string; data: Uint8Array }[]): Buffer {
  const blocks = files.flatMap(({ name, data }) => {
    const isLong = Buffer.byteLength(name) > NAME_BYTES
    const record = isLong ? paxRecord('path', name) : undefined
    return [
      ...(record ? [header('pax', 'x', record.length), ...padded(record)] : []),
      header(isLong ? 'long' : name, name.endsWith('/') ? '5' : '0', data.length),
      ...padded(data),
    ]
  })
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]))
}

function header(name: string, type: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  block.write(name, 0, NAME_BYTES)
  block.write('0000644\0', 100)
  block.write('0000000\0', 108) // uid
  block.write('0000000\0', 116) // gid
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  block.write('00000000000\0', 136) // mtime
  block.write(' '.repeat(8), 148)
  block.write(type, 156)
  block.write('ustar\x0000', 257)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** A record begins with its own length in bytes, which counts its digits too. */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`
  const bytes = Buffer.byteLength(rest)
  let length = bytes
  while (length !== bytes + String(length).length) length = bytes + String(length).length
  return Buffer.from(`${length}${rest}`)
}

function padded(data: Uint8Array): Uint8Array[] {
  const over = data.length % BLOCK
  return over === 0 ? [data] : [data, Buffer.alloc(BLOCK - over)]
}
