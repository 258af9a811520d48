import { expect, test } from 'vitest'
import type { Delivery } from '../../../lib/alerts/alert.ts'
import { post } from '../../../lib/alerts/post.ts'
import { DeliveryQueue } from '../../../lib/alerts/queue.ts'
import { parseAlertTypes, parseWebhookUrl } from '../../../lib/alerts/settings-values.ts'
import { createLog } from '../../../lib/log.ts'
import { eventually } from '../../helpers/process.ts'
import { startReceiver } from '../../helpers/webhook.ts'

const receiver = await startReceiver()
const lines: string[] = []
const log = createLog('info', { write: (text: string) => lines.push(text) })

function newQueue(url: string, patienceMs?: number): DeliveryQueue {
  return new DeliveryQueue({
    log,
    target: () => ({ url: parseWebhookUrl(url), secret: undefined }),
    retryMs: 20,
    ...(patienceMs !== undefined && { patienceMs }),
  })
}

function delivery(text: string, other: Partial<Delivery> = {}): Delivery {
  const gateway = { id: 'g', host: 'h', version: '1' }
  return {
    ...{ id: text, type: 'gateway.left', key: text, text, data: {} },
    ...{ severity: 'info', at: '', gateway, dropped: 0 },
    ...other,
  }
}

const yes = Promise.resolve(true)

test('a redirect is refused and not followed, and the next alert goes on', async () => {
  const queue = newQueue(receiver.url)
  receiver.answers.push({ status: 307, headers: { location: `${receiver.url}/elsewhere` } })
  queue.add({ delivery: delivery('first'), isMine: yes })
  queue.add({ delivery: delivery('not mine'), isMine: Promise.resolve(false) })
  queue.add({ delivery: delivery('second'), isMine: yes })
  await receiver.next('gateway.left', ({ text }) => text === 'second')
  await eventually('all ended', () => queue.length === 0)
  expect(receiver.received.map(({ path, alert }) => [path, alert.text])).toEqual([
    ['/hook/of-the-test', 'first'],
    ['/hook/of-the-test', 'second'],
  ])
  expect(receiver.received[0]!.headers['x-gateway-signature']).toBeUndefined()
  expect(queue.counts).toEqual({ delivered: 1, failed: 1, duplicate: 1, dropped: 0 })
  await eventually('it is logged', () => lines.join('').includes('a redirect (307)'))
})

test('one alert that the receiver fails at lets others pass, critical ones first, but not its own end', async () => {
  const before = receiver.received.length
  const queue = newQueue(receiver.url, 0)
  receiver.answers.push({ status: 502 })
  queue.add({ delivery: delivery('begin', { key: 'replica' }), isMine: yes })
  queue.add({ delivery: delivery('end', { key: 'replica' }), isMine: yes })
  queue.add({ delivery: delivery('info'), isMine: yes })
  queue.add({ delivery: delivery('gone', { severity: 'critical' }), isMine: yes })
  await eventually('all ended', () => queue.length === 0)
  const sent = receiver.received.slice(before).map(({ alert }) => alert.text)
  expect(sent).toEqual(['begin', 'gone', 'info', 'begin', 'end'])
  expect(queue.counts).toEqual({ delivered: 4, failed: 0, duplicate: 0, dropped: 0 })
})

test('Retry-After may be a date', async () => {
  const answers = [() => '60', () => new Date(Date.now() + 60_000).toUTCString()]
  for (const retryAfter of answers) {
    receiver.answers.push({ status: 503, headers: { 'retry-after': retryAfter() } })
    const to = { url: parseWebhookUrl(receiver.url), secret: undefined }
    const outcome = await post(to, delivery('later'), new AbortController().signal)
    expect(outcome).toMatchObject({ is: 'failed', why: 'status 503' })
    const { retryAfterMs = 0 } = outcome as { retryAfterMs?: number }
    expect(Math.round(retryAfterMs / 10_000)).toBe(6)
  }
})

test('while nobody listens, at most 1000 wait, the oldest are dropped, and that is told', async () => {
  const queue = newQueue('http://127.0.0.1:1/nobody')
  for (let i = 0; i <= 1002; i++) queue.add({ delivery: delivery(`${i}`), isMine: yes })
  expect([queue.length, queue.counts.dropped]).toEqual([1000, 3])
  await eventually('it is logged', () => lines.join('').includes('could not be delivered'))
  await queue.end(0)
  expect([queue.length, queue.counts.dropped]).toEqual([0, 1003])
  queue.add({ delivery: delivery('late'), isMine: yes })
  expect(queue.length).toBe(0)
})

test('WEBHOOK_URL is checked, and an error does not repeat it', () => {
  expect(parseWebhookUrl('https://alerts.example/a?b=c').href).toBe('https://alerts.example/a?b=c')
  for (const text of [
    'alerts.example/secret',
    'ftp://alerts.example/secret',
    'file:///secret',
    'https://secret:word@alerts.example',
    'https://alerts.example/#secret',
    'http:secret',
  ]) {
    expect(() => parseWebhookUrl(text), text).toThrow(/^(is not|has) (?!.*secret)/)
  }
})

test('WEBHOOK_EVENTS takes types and their first parts', () => {
  expect(parseAlertTypes('deploy, replica.gone')).toEqual([
    'deploy.finished',
    'deploy.failed',
    'replica.gone',
  ])
  expect(() => parseAlertTypes('deploy,depoy')).toThrow(/^"depoy" is not one of deploy\.finished, /)
})
