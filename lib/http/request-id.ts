import { randomFillSync } from 'node:crypto'

/** Ids that are made at a time: each is a part of one text, which costs less than a text of its own. */
const AT_ONCE = 64
const LENGTH = 36

const random = Buffer.alloc(16 * AT_ONCE)
let ids = ''
let at = 0

/** Returns a random UUID (RFC 9562, version 4). */
export function newRequestId(): string {
  if (at === ids.length) {
    ids = makeIds()
    at = 0
  }
  at += LENGTH
  return ids.slice(at - LENGTH, at)
}

function makeIds(): string {
  randomFillSync(random)
  let made = ''
  for (let i = 0; i < random.length; i += 16) {
    random[i + 6] = (random[i + 6]! & 0x0f) | 0x40
    random[i + 8] = (random[i + 8]! & 0x3f) | 0x80
    const hex = random.toString('hex', i, i + 16)
    made += `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }
  // One flat text rather than a tree of its pieces.
  return Buffer.from(made, 'latin1').toString('latin1')
}
