import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe } from 'vitest'
import { readForm } from '../../lib/http/body/multipart.ts'
import { fuzz } from './fuzz.ts'
import { mutatedBytes, mutatedTexts } from './mutations.ts'

const part = (head: string, data: string) => `--b\r\n${head}\r\n\r\n${data}\r\n`
const field = (name: string, value: string) =>
  part(`Content-Disposition: form-data; name="${name}"`, value)

const FORMS = [
  field('platform', 'myapp') + field('tenant_id', 'one'),
  field('platform', 'p') +
    part(
      'Content-Disposition: form-data; name="schema"; filename="a.tar.gz"\r\nContent-Type: application/gzip',
      '\x1f\x8b\x08\0data',
    ),
  part(
    'content-disposition: form-data; name="file"; filename*=UTF-8\'\'%e2%82%ac',
    'x'.repeat(500),
  ),
  part('Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64', 'YWI='),
  field('a', '1').repeat(30),
].map((text) => Buffer.from(`${text}--b--\r\n`))

const types = fc.oneof(
  { weight: 5, arbitrary: fc.constant('multipart/form-data; boundary=b') },
  {
    weight: 1,
    arbitrary: mutatedTexts(['multipart/form-data; boundary="b"', 'multipart/form-data']),
  },
)

/** In one piece or in several, as the network cuts it. */
const bodies = fc
  .tuple(mutatedBytes(FORMS), fc.nat(200))
  .map(([bytes, cut]) =>
    cut === 0 ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)].filter((one) => one.length),
  )

const STUCK_MS = 5000

describe('multipart', () => {
  fuzz('forms', fc.tuple(types, bodies), async ([type, chunks]) => {
    let timer: NodeJS.Timeout | undefined
    const stuck = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('It came to no end')), STUCK_MS)
    })
    try {
      await Promise.race([readForm(Readable.from(chunks), type, 400), stuck])
    } finally {
      clearTimeout(timer)
    }
  })
})
