import { spawn } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { createLog, type RequestLine } from '../../../lib/log.ts'
import { PROJECT } from '../../helpers/gateway.ts'

/** Writes 4,000 lines of up to 4,000 bytes, in turns of 20, with multi-byte characters. */
const WRITER = `
  import { createLog } from './lib/log.ts'
  const log = createLog({ level: 'info', isShared: process.argv[1] !== 'alone' }, process.stdout, { worker: process.pid })
  for (let turn = 0; turn < 200; turn++) {
    for (let i = 0; i < 20; i++) log.info('line', { turn, text: 'é'.repeat((turn * 37 + i * 101) % 1900), end: 1 })
    await new Promise(setImmediate)
  }
`

/** Output of two processes in one pipe, whose reader is slow. */
async function outputOfTwo(mode: string): Promise<string> {
  const one = `"$0" --import ./scripts/typescript.mjs --input-type=module -e "$1" ${mode}`
  const reader = `"$0" -e "process.stdin.on('data', (piece) => { process.stdout.write(piece); const end = Date.now() + 1; while (Date.now() < end); })"`
  const program = spawn(
    'sh',
    ['-c', `(${one} & ${one} & wait) | ${reader}`, process.execPath, WRITER],
    {
      cwd: PROJECT,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let output = ''
  for await (const piece of program.stdout.setEncoding('utf8')) output += piece
  return output
}

function broken(output: string): number {
  return output
    .trimEnd()
    .split('\n')
    .filter((line) => !isWhole(line)).length
}

function isWhole(line: string): boolean {
  try {
    return JSON.parse(line).end === 1
  } catch {
    return false
  }
}

describe('several processes that write to one pipe', () => {
  it('do not break each other’s lines', async () => {
    const output = await outputOfTwo('shared')
    expect(broken(output)).toBe(0)
    expect(output.trimEnd().split('\n')).toHaveLength(8000)
  })

  it('would, if they wrote more than the pipe takes as one', async () => {
    expect(broken(await outputOfTwo('alone'))).toBeGreaterThan(0)
  })
})

describe('a line of a shared output', () => {
  const lineOf = async (write: (log: ReturnType<typeof createLog>) => void) => {
    let output = ''
    const target = { write: (text: string) => (output += text) }
    write(createLog({ level: 'info', isShared: true }, target, { worker: 3, journal: true }))
    await new Promise(setImmediate)
    expect(Buffer.byteLength(output)).toBeLessThanOrEqual(4096)
    return JSON.parse(output.slice('<6>'.length))
  }

  it('has at most 4,096 bytes: longer texts are cut', async () => {
    const fields = { one: 'ü'.repeat(5000), two: '\u0001'.repeat(5000), short: 'whole', number: 7 }
    const line = await lineOf((log) => log.info('m'.repeat(9000), fields))
    expect(line).toMatchObject({ worker: 3, short: 'whole', number: 7 })
    expect(line.message).toMatch(/^m{100,}…$/)
    expect(line.one).toMatch(/^ü{100,}…$/)
  })

  it('is not cut where it fits', async () => {
    const text = 'x'.repeat(3900)
    expect(await lineOf((log) => log.info('all', { text }))).toMatchObject({ text })
  })

  it('has the beginning of a long path', async () => {
    const path = `/call/${'\u0080'.repeat(9000)}`
    const request: RequestLine = {
      method: 'GET',
      path,
      status: 404,
      ms: 1,
      address: '127.0.0.1',
      request_id: 'r'.repeat(128),
    }
    const line = await lineOf((log) => log.request(request))
    expect(line.path).toBe(`${path.slice(0, 250)}…`)
  })
})
