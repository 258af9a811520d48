import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sign } from '../../lib/alerts/signature.ts'
import { PROJECT } from '../helpers/gateway.ts'

test('the snippet of docs/alerts.md takes what the gateway has signed, and nothing else', async () => {
  const page = readFileSync(join(PROJECT, 'docs/alerts.md'), 'utf8')
  const [, code] = /```js\n([\s\S]+?)```/.exec(page)!
  const { isFromGateway } = await import(`data:text/javascript,${encodeURIComponent(code!)}`)
  const secret = 'a secret of at least 32 characters'
  const body = JSON.stringify({ text: 'Größe', type: 'postgres.gone' })
  const now = Date.now()
  const header = sign(body, secret, now)
  const accepts = (given: unknown, sent = body, key = secret, at = now) =>
    isFromGateway(given, Buffer.from(sent), key, at / 1000)
  expect(accepts(header)).toBe(true)
  expect(accepts(header, body, secret, now + 299_000)).toBe(true)
  expect(accepts(header, body, secret, now + 302_000)).toBe(false)
  expect(accepts(header, `${body} `)).toBe(false)
  expect(accepts(header, body, `${secret}!`)).toBe(false)
  expect(accepts(header.replace(/^t=\d+/, `t=${Math.floor(now / 1000) + 1}`))).toBe(false)
  for (const wrong of [undefined, '', 'v1=00', `${header}0`]) expect(accepts(wrong)).toBe(false)
})
