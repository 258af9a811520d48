import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createLog, isJournal, type LogSettings, type RequestLine } from '../../../lib/log.ts'
import { type Json, PROJECT } from '../../helpers/gateway.ts'
import { until } from '../../helpers/process.ts'

const LINE: RequestLine = {
  method: 'POST',
  path: '/call/"x"',
  status: 200,
  ms: 12.3,
  address: '127.0.0.1',
  request_id: 'one',
  trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
  span_id: '00f067aa0ba902b7',
  platform: 'clinic',
  database: 'clinic_main',
  function: 'ping',
  wait_ms: 0.123,
  query_ms: 1.5,
}

function logTo(settings: LogSettings, options = {}) {
  let output = ''
  const target = { write: (text: string) => (output += text) }
  const log = createLog(settings, target, options)
  const lines = async () => {
    await new Promise(setImmediate)
    return output.split('\n').slice(0, -1)
  }
  const entries = async (): Promise<Json[]> => (await lines()).map((line) => JSON.parse(line))
  return { log, lines, entries }
}

/** Output of a process that runs this module. */
async function outputOf(code: string): Promise<string> {
  const typescript = process.env.TEST_BUILD
    ? []
    : ['--import', join(PROJECT, 'scripts/typescript.mjs')]
  const child = spawn(process.execPath, [...typescript, '--input-type=module', '--eval', code])
  let output = ''
  child.stdout.on('data', (bytes) => (output += bytes))
  child.stderr.on('data', (bytes) => (output += bytes))
  await once(child, 'close')
  return output
}

const LOG_MODULE = process.env.TEST_BUILD
  ? join(process.env.TEST_BUILD, 'lib/log.js')
  : join(PROJECT, 'lib/log.ts')

describe('LOG_FORMAT', () => {
  it('is JSON with the ids of the trace where the target is no terminal', async () => {
    const { log, entries } = logTo({ level: 'info' })
    log.request(LINE)
    log.warn('Late', { request_id: 'two' })
    expect(await entries()).toEqual([
      {
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        level: 'info',
        message: 'POST /call/"x"',
        ...LINE,
        wait_ms: 0.12,
      },
      { time: expect.any(String), level: 'warn', message: 'Late', request_id: 'two' },
    ])
  })

  it('ecs has the names of the Elastic Common Schema', async () => {
    const { log, entries } = logTo({ level: 'info', format: 'ecs', serviceName: 'gw' })
    log.request({ ...LINE, status: 503, error: 'pool_exhausted', sqlstate: '53300' })
    log.error('Gone', { request_id: 'two', trace_id: 'abc', error: 'no', database: 'x' })
    const every = {
      '@timestamp': expect.any(String),
      'ecs.version': '8.11.0',
      'service.name': 'gw',
    }
    expect(await entries()).toEqual([
      {
        ...every,
        'log.level': 'warn',
        message: 'POST /call/"x"',
        'http.request.method': 'POST',
        'url.path': '/call/"x"',
        'http.response.status_code': 503,
        'event.duration': 12_300_000,
        'client.address': '127.0.0.1',
        'http.request.id': 'one',
        'trace.id': LINE.trace_id,
        'span.id': LINE.span_id,
        'db_gateway.platform': 'clinic',
        'db_gateway.database': 'clinic_main',
        'db_gateway.function': 'ping',
        'error.code': 'pool_exhausted',
        'db_gateway.sqlstate': '53300',
        'db_gateway.wait_ms': 0.12,
        'db_gateway.query_ms': 1.5,
      },
      {
        ...every,
        'log.level': 'error',
        message: 'Gone',
        'http.request.id': 'two',
        'trace.id': 'abc',
        'error.message': 'no',
        'db_gateway.database': 'x',
      },
    ])
  })

  it('text is for people, and may be changed with the level while the log is in use', async () => {
    const { log, lines } = logTo({ level: 'warn', format: 'text' })
    log.info('not logged')
    log.configure({ level: 'info', format: 'text' })
    log.request(LINE)
    log.configure({ level: 'error', format: 'json' })
    log.request(LINE)
    log.error('last')
    const all = await lines()
    expect(all).toHaveLength(2)
    expect(all[0]).toMatch(/^.*\d\d:\d\d:\d\d.* POST \/call\/"x" .*status=.*200/)
    expect(JSON.parse(all[1]!)).toMatchObject({ level: 'error', message: 'last' })
  })

  it('has no control characters, which would forge a line or command a terminal', async () => {
    const bad = 'a\nb\r\x1b[31m\x00\x7f\x85\x9b31m\tz'
    const control = /\p{Cc}/u
    for (const format of ['text', 'json', 'ecs'] as const) {
      const { log, lines } = logTo({ level: 'info', format, serviceName: `s${bad}` })
      log.warn(bad, { field: bad, 'a\x9b': 'plain', other: `x\x1bx` })
      log.request({ ...LINE, path: `/call/${bad}` })
      const all = await lines()
      expect(all).toHaveLength(2)
      if (format === 'text') {
        const seen = all.map(stripVTControlCharacters)
        expect(seen.filter((line) => control.test(line))).toEqual([])
        const escapes = String.raw`a\nb\r\u001b[31m\u0000\u007f\u0085\u009b31m\tz`
        expect(seen[0]).toContain(` ${escapes} field="${escapes}" a\\u009b=plain other="x\\u001bx"`)
        expect(seen[1]).toContain(`POST /call/${escapes} `)
      } else {
        expect(all.filter((line) => control.test(line))).toEqual([])
        const [entry, request] = all.map((line) => JSON.parse(line))
        expect(entry.message).toBe(bad)
        expect(request.message).toBe(`POST /call/${bad}`)
        if (format === 'ecs') expect(request['service.name']).toBe(`s${bad}`)
      }
    }
  })

  it('lines of one turn may be of any length and in any script, with their worker', async () => {
    for (const format of ['json', 'ecs'] as const) {
      const { log, entries } = logTo({ level: 'info', format }, { worker: 3 })
      const long = 'Größe 木 '.repeat(10_000)
      for (let i = 0; i < 3; i++) {
        log.request({ ...LINE, path: `/${i}/ä` })
        log.info(long)
      }
      const written = await entries()
      const number = format === 'json' ? 'worker' : 'db_gateway.worker'
      expect(written.map(({ message }) => message)).toEqual([
        ...['POST /0/ä', long, 'POST /1/ä', long, 'POST /2/ä', long],
      ])
      expect(new Set(written.map((line) => line[number]))).toEqual(new Set([3]))
    }
  })

  it('tells the journal the priority of each line, which it takes off', async () => {
    const { log, lines } = logTo({ level: 'debug' }, { journal: true })
    log.error('e')
    log.warn('w')
    log.request(LINE)
    log.debug('d')
    expect((await lines()).map((line) => line.slice(0, 4))).toEqual([
      '<3>{',
      '<4>{',
      '<6>{',
      '<7>{',
    ])
    expect(isJournal(undefined)).toBe(false)
    expect(isJournal('1:2')).toBe(false)
  })
})

describe('a worker', () => {
  function workerLog() {
    const writes: Json[][] = []
    const write = (text: string) => {
      const lines = text.trimEnd().split('\n')
      writes.push(lines.map((line) => JSON.parse(line)))
    }
    return { log: createLog('info', { write }, { worker: 2 }), writes }
  }
  const turn = () => new Promise(setImmediate)

  it('writes the lines of requests of some milliseconds together', async () => {
    const { log, writes } = workerLog()
    for (let i = 0; i < 3; i++) {
      log.request({ ...LINE, request_id: `${i}` })
      await turn()
    }
    expect(writes).toEqual([])
    await until(() => writes.length > 0)
    expect(writes).toHaveLength(1)
    expect(writes[0]!.map(({ request_id }) => request_id)).toEqual(['0', '1', '2'])
    expect(writes[0]![0]).toMatchObject({ worker: 2 })
  })

  it('writes another line at once, with those that wait before it', async () => {
    const { log, writes } = workerLog()
    log.request(LINE)
    await turn()
    log.warn('now')
    log.request({ ...LINE, request_id: 'after' })
    await turn()
    const told = writes.map((lines) => lines.map(({ message }) => message))
    expect(told).toEqual([['POST /call/"x"', 'now', 'POST /call/"x"']])
    log.request({ ...LINE, request_id: 'later' })
    await turn()
    expect(writes).toHaveLength(1)
    await until(() => writes.length === 2)
  })

  it('writes what waits when its process ends', async () => {
    const output = await outputOf(`
      import { createLog } from ${JSON.stringify(LOG_MODULE)}
      createLog('info', process.stdout, { worker: 1 }).request(${JSON.stringify(LINE)})
      process.exit(0)`)
    expect(JSON.parse(output)).toMatchObject({ worker: 1, request_id: 'one' })
  })

  it('ends when all that it wrote is taken', async () => {
    const output = await outputOf(`
      import { createLog, workerLinesTaken } from ${JSON.stringify(LOG_MODULE)}
      const log = createLog('info', process.stdout, { worker: 1 })
      for (let i = 0; i < 3000; i++) log.request(${JSON.stringify(LINE)})
      await workerLinesTaken()
      process.exit(0)`)
    expect(output.trimEnd().split('\n')).toHaveLength(3000)
  })
})

describe('LOG_SUCCESSES_PER_SEC', () => {
  const sampled = { level: 'info', maxSuccessesPerSecond: 2, slowMs: 100 } as const

  it('leaves out successes alone, and says how many', async () => {
    const { log, entries } = logTo(sampled)
    // Within one second, but for a run that begins at the end of one.
    await until(() => performance.now() % 1000 < 700)
    for (let i = 0; i < 10; i++) {
      log.request({ ...LINE, request_id: `ok-${i}` })
      log.request({ ...LINE, request_id: `slow-${i}`, ms: 100 })
      log.request({ ...LINE, request_id: `bad-${i}`, status: 404, error: 'not_found' })
      log.request({ ...LINE, request_id: `cut-${i}`, error: 'query_failed' })
    }
    const ids = (await entries()).map(({ request_id }) => request_id)
    const of = (kind: string) => ids.filter((id) => id.startsWith(kind)).length
    expect(of('ok')).toBe(2)
    expect([of('slow'), of('bad'), of('cut')]).toEqual([10, 10, 10])
  })

  it('says how many at the end of the process at the latest', async () => {
    const code = `
      import { createLog } from ${JSON.stringify(LOG_MODULE)}
      const log = createLog({ level: 'info', maxSuccessesPerSecond: 0 })
      for (let i = 0; i < 5; i++) log.request(${JSON.stringify(LINE)})
      process.exit(0)`
    const output = await outputOf(code)
    expect(JSON.parse(output)).toMatchObject({
      level: 'info',
      message: 'The log leaves out 5 requests that succeeded (LOG_SUCCESSES_PER_SEC)',
      left_out: 5,
    })
  })
})
