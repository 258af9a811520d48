import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'

/**
 * Hands on what a worker writes, in whole lines: writes of several processes to one pipe could break
 * each other's lines. What follows the last newline is written when the worker has ended.
 */
export function passLines(from: Readable, write: (text: string) => void): void {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  from.on('data', (bytes: Buffer) => {
    const text = rest + decoder.write(bytes)
    const end = text.lastIndexOf('\n') + 1
    rest = text.slice(end)
    if (end > 0) write(text.slice(0, end))
  })
  from.on('end', () => {
    if (rest !== '') write(`${rest}\n`)
    rest = ''
  })
  from.on('error', () => {})
}
