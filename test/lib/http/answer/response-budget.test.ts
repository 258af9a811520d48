import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import {
  type AnswerBudget,
  answerBudgetOf,
  countAnswer,
} from '../../../../lib/http/answer/response-budget.ts'
import { ByteBudget } from '../../../../lib/http/byte-budget.ts'
import { afterTest } from '../../../helpers/after-test.ts'
import { eventually } from '../../../helpers/process.ts'
import { openRaw, sendRaw } from '../../../helpers/raw-http.ts'

const MEBIBYTE = 1024 * 1024

/** A server whose answers come from `answer`; it is closed after the test. */
async function serve(answer: (res: ServerResponse) => Promise<void>): Promise<string> {
  const server = createServer((_req, res) => {
    answer(res).catch((error) => res.destroy(error))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterTest(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Reads rows as a session does: what is not admitted yet is not there yet. */
async function readRows(
  answerBudget: AnswerBudget,
  pieces: number,
  bytes: number,
): Promise<Buffer> {
  const rows: Buffer[] = []
  for (let i = 0; i < pieces; i++) {
    const admitted = answerBudget.admit(bytes)
    if (admitted !== true) await admitted
    rows.push(Buffer.alloc(bytes, 'x'))
    await new Promise((resolve) => setImmediate(resolve))
  }
  return Buffer.concat(rows)
}

test('36 clients that never read hold no more than MAX_BUFFERED_BYTES and one answer', async () => {
  const budget = new ByteBudget(16 * MEBIBYTE)
  const [pieces, bytes] = [6, MEBIBYTE]
  let most = 0
  let refused = 0
  const url = await serve(async (res) => {
    try {
      const body = await readRows(answerBudgetOf(budget, res, 1500), pieces, bytes)
      most = Math.max(most, budget.taken)
      countAnswer(budget, res, body.length)
      res.end(body)
    } catch {
      refused++
      res.writeHead(503).end()
    }
  })
  const before = process.memoryUsage()
  const clients = await Promise.all(
    Array.from({ length: 36 }, async () => {
      const { socket } = await openRaw(url)
      socket.pause()
      socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
      return socket
    }),
  )
  await eventually('the others wait', () => budget.waiting > 20)
  await new Promise((resolve) => setTimeout(resolve, 300))
  const after = process.memoryUsage()
  expect(budget.taken).toBeGreaterThan(8 * MEBIBYTE)
  expect(budget.taken).toBeLessThanOrEqual(16 * MEBIBYTE + pieces * bytes)
  // Without the budget, 36 answers are 216 MiB.
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(64 * MEBIBYTE)

  await eventually('those that wait are refused in time', () => refused > 20)
  for (const socket of clients) socket.destroy()
  await eventually('all is given back', () => budget.taken === 0 && budget.waiting === 0)
  expect(most).toBeLessThanOrEqual(16 * MEBIBYTE + pieces * bytes)
})

test('clients that read all get their answers, however little room there is', async () => {
  const budget = new ByteBudget(2 * MEBIBYTE)
  const url = await serve(async (res) => {
    const body = await readRows(answerBudgetOf(budget, res, 20_000), 8, MEBIBYTE / 8)
    countAnswer(budget, res, body.length)
    res.setHeader('connection', 'close')
    res.end(body)
  })
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => sendRaw(url, 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')),
  )
  for (const answer of answers) {
    expect(answer.slice(0, 15)).toBe('HTTP/1.1 200 OK')
    expect(answer.length).toBeGreaterThan(MEBIBYTE)
  }
  expect(budget.taken).toBe(0)
})

test('an answer that is read anew gives back what it held; small ones are not counted', async () => {
  const budget = new ByteBudget(MEBIBYTE)
  const seen: number[] = []
  const url = await serve(async (res) => {
    const answerBudget = answerBudgetOf(budget, res, 1000)
    await answerBudget.admit(60_000)
    seen.push(budget.taken)
    await answerBudget.admit(60_000)
    seen.push(budget.taken)
    answerBudget.restart()
    seen.push(budget.taken)
    await answerBudget.admit(100_000)
    seen.push(budget.taken)
    countAnswer(budget, res, 10)
    seen.push(budget.taken)
    res.setHeader('connection', 'close')
    res.end('x'.repeat(10))
  })
  await sendRaw(url, 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  expect(seen).toEqual([0, 120_000, 0, 100_000, 0])
})

test('what waits for an answer that is written, or read anew, waits no longer', async () => {
  const budget = new ByteBudget(MEBIBYTE)
  const errors: unknown[] = []
  const url = await serve(async (res) => {
    const answerBudget = answerBudgetOf(budget, res, 60_000)
    await answerBudget.admit(MEBIBYTE)
    const other = budget.newHolder()
    budget.hold(other, 1)
    for (const end of [() => answerBudget.restart(100_000), () => countAnswer(budget, res, 10)]) {
      const waiting = Promise.resolve(answerBudget.admit(MEBIBYTE)).catch((error) =>
        errors.push(error),
      )
      expect(budget.waiting).toBe(1)
      end()
      await waiting
      expect(budget.waiting).toBe(0)
    }
    budget.end(other, new Error('over'))
    res.setHeader('connection', 'close')
    res.end('x'.repeat(10))
  })
  expect(await sendRaw(url, 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')).toContain('200 OK')
  expect(errors).toHaveLength(2)
  await eventually('all is given back', () => budget.taken === 0)
})
