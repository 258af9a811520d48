import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Json, uniqueName } from '../helpers/gateway.ts'
import { eventually, startProcess, temporaryFolder } from '../helpers/process.ts'
import { byWorker, type Client, newClient, samplesOf, workersOf } from '../helpers/workers.ts'
import { adminDatabase, SLEEPER, startSleeping } from './setup.ts'

/** Replacing takes some starts, each of which waits for the cores of a busy machine. */
const PATIENCE_MS = 90_000

test('SIGUSR2 replaces one worker after the other, and loses no request', async () => {
  const gateway = await startProcess({
    DATABASE_URL: await adminDatabase(),
    WORKERS: '2',
    MAX_TOTAL_CONNECTIONS: '12',
    TEMPLATES: 'off',
  })
  const url = await gateway.url()
  const platform = uniqueName('replaced')
  expect(await gateway.register(platform, SLEEPER)).toMatchObject({ status: 200 })
  const before = (await workersOf(gateway, 2)).map(({ pid }: Json) => pid)
  let isOver = false
  const answers: unknown[] = []
  const load = Array.from({ length: 6 }, async () => {
    const client = newClient(url)
    while (!isOver) {
      const answer = client.call(platform, 'sleep', [0.02])
      answers.push(await answer.then(({ status }) => status, String))
    }
  })
  // The requests of one that drains are finished, also where no answer is due soon.
  const long = newClient(url).call(platform, 'sleep', [3])
  gateway.kill('SIGUSR2')
  const isReplaced = () => gateway.output().includes('All workers are replaced')
  await eventually('all workers are replaced', isReplaced, PATIENCE_MS)
  expect((await newClient(url).send('/ready')).status).toBe(200)
  isOver = true
  await Promise.all(load)
  expect(await long).toMatchObject({ status: 200 })
  expect(answers.length).toBeGreaterThan(10)
  expect(answers.filter((status) => status !== 200)).toEqual([])
  const after = (await workersOf(gateway, 2)).map(({ pid }: Json) => pid)
  expect(after.filter((pid: number) => before.includes(pid))).toEqual([])
  await eventually('the share is whole', async () => {
    return (await samplesOf(url, 'db_gateway_permits_capacity'))[''] === 12
  })
  // So are those that run when all end.
  const { answer } = await startSleeping(gateway, platform, 2)
  gateway.kill('SIGTERM')
  expect(await answer).toMatchObject({ status: 200 })
  expect(await gateway.exit).toEqual({ code: 0, signal: null })
}, 180_000)

test('a worker that ends while all are replaced has one successor, and SIGTERM ends a replacement', async () => {
  const settings = { DATABASE_URL: await adminDatabase(), WORKERS: '2', TEMPLATES: 'off' }
  const gateway = await startProcess(settings)
  await gateway.url()
  const [, second] = await workersOf(gateway, 2)
  gateway.kill('SIGUSR2')
  process.kill(second.pid, 'SIGKILL')
  const isReplaced = () => gateway.output().includes('All workers are replaced')
  await eventually('all workers are replaced', isReplaced, PATIENCE_MS)
  const numbers = (await workersOf(gateway, 2)).map(({ worker }: Json) => worker)
  expect(numbers.sort()).toEqual([1, 2])

  // The successor does not listen to its parent yet.
  gateway.kill('SIGUSR2')
  gateway.kill('SIGTERM')
  expect(await gateway.exit).toEqual({ code: 0, signal: null })
}, 180_000)

test('a worker that hangs is ended, also while the service stops', async () => {
  const settings = { DATABASE_URL: await adminDatabase(), WORKERS: '2', TEMPLATES: 'off' }
  const gateway = await startProcess(settings)
  const url = await gateway.url()
  const [first] = await workersOf(gateway, 2)
  process.kill(first.pid, 'SIGSTOP')
  // It is asked nothing from then on. A client that it was given before waits for it.
  await eventually('it counts as silent', async () => {
    const started = performance.now()
    const asked = newClient(url).send('/health')
    const patience = new Promise((resolve) => setTimeout(resolve, 500))
    await Promise.race([asked.catch(() => {}), patience])
    return performance.now() - started < 500
  })
  gateway.kill('SIGTERM')
  expect(await gateway.exit).toEqual({ code: 0, signal: null })
  expect(gateway.output()).toContain('Worker 1 has not answered for 30 s: ended')
}, 120_000)

test('SIGHUP has all workers read the settings again', async () => {
  const folder = await temporaryFolder()
  const file = join(folder, '.env')
  await writeFile(file, 'MAX_BODY_BYTES=100000\n')
  const settings = { DATABASE_URL: await adminDatabase(), WORKERS: '2', TEMPLATES: 'off' }
  const gateway = await startProcess(settings, folder)
  const url = await gateway.url()
  const platform = uniqueName('reloaded')
  expect(await gateway.register(platform, SLEEPER)).toMatchObject({ status: 200 })
  const clients = Array.from({ length: 4 }, () => newClient(url))
  const ask = (client: Client) => client.call(platform, 'sleepers')
  expect(Object.keys(await byWorker(gateway, clients, ask))).toEqual(['1', '2'])
  const statuses = () =>
    Promise.all(
      clients.map(
        async (client) => (await client.call(platform, 'sleepers', ['x'.repeat(2000)])).status,
      ),
    )
  expect(await statuses()).not.toContain(413)
  await writeFile(file, 'MAX_BODY_BYTES=1000\n')
  gateway.kill('SIGHUP')
  await eventually('all refuse', async () => (await statuses()).every((one) => one === 413))
  // None is a new one.
  expect(Object.keys(await byWorker(gateway, clients, ask))).toEqual(['1', '2'])
}, 60_000)
