import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { CLI_PROGRAM } from '../helpers/cli.ts'
import { newSchema, stable } from '../helpers/cli-schema.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { connectTo } from '../helpers/gateway.ts'
import { eventually, type Program, startProgram, temporaryFolder } from '../helpers/process.ts'

const gateway = await startOneGateway()

/** Runs the command line in a pseudo-terminal of 60 columns. */
function inTerminal(args: string, cwd: string, more: Record<string, string> = {}): Program {
  const { PATH = '' } = process.env
  const env = { PATH, TERM: 'xterm', GATEWAY_URL: gateway.url, ...more }
  const line = `stty cols 60 rows 24; exec ${CLI_PROGRAM} ${args}`
  return startProgram('script', ['-qec', line, '/dev/null'], { cwd, env })
}

/** Waits until the terminal shows the text, colours aside. */
const shows = (program: Program, text: string) =>
  eventually(`the terminal shows ${text}`, () =>
    stripVTControlCharacters(program.output()).includes(text),
  )

test('a table fits the terminal and has colour, unless NO_COLOR is set', async () => {
  const schema = await newSchema(gateway.url)
  await schema.output('register')
  const colored = inTerminal('status', schema.folder)
  const plain = inTerminal('status', schema.folder, { NO_COLOR: '1' })
  expect(await colored.exit).toMatchObject({ code: 0 })
  expect(await plain.exit).toMatchObject({ code: 0 })
  expect(colored.output()).toContain('\u001b[1mdatabase')
  expect(plain.output()).not.toContain('\u001b[')
  const table = plain.output().split('\r\n').slice(1, 4)
  expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(60)
})

test('migrate draws one bar; Ctrl-C stops it, and the exit code says so', async () => {
  const schema = await newSchema(gateway.url)
  await schema.output('register')
  await schema.output('register', '--tenant', 'east')
  await schema.write('migrations/002_wait.pssql', 'select pg_advisory_xact_lock(7);')
  const sql = connectTo(`${schema.platform}_main`)
  await sql`select pg_advisory_lock(7)`
  const running = inTerminal('migrate', schema.folder)
  await shows(running, `0/2\r\n  now  ${schema.platform}_main`)
  running.type('\u0003')
  await shows(running, 'stopping: what has begun is finished')
  await eventually('the gateway was asked to stop', async () => {
    const { body } = await gateway.get(`/admin/audit?platform=${schema.platform}&limit=5`)
    return body.entries.some(
      (one: { action: string; status: number }) => one.action === 'stop_migrate' && one.status,
    )
  })
  await sql.end()
  expect(await running.exit).toMatchObject({ code: 1 })
  // Each picture is drawn where the one before it was.
  expect(running.output()).toContain('\u001b[2A\r\u001b[J')
  // What is left on the screen, below the picture that was drawn and taken away again.
  const left = stripVTControlCharacters(running.output().split('\u001b[J').at(-1)!)
  expect(stable(left, schema).replaceAll('\r', '')).toBe(
    `Stopped: 1 done, 1 not started

Done: shop_main
Not started: shop_east

Next
  database-gateway migrate --only-failed
`,
  )
})

test('a person is asked: init for the platform, tenants drop for the name of the database', async () => {
  const folder = await temporaryFolder()
  const init = inTerminal('init shop', folder)
  await shows(init, 'Name of the platform')
  init.type('two\r')
  expect(await init.exit).toMatchObject({ code: 0 })
  expect(JSON.parse(await readFile(join(folder, 'shop/gateway.json'), 'utf8'))).toEqual({
    platform: 'shoptwo',
  })
  const cancelled = inTerminal('init other', folder)
  await shows(cancelled, 'Name of the platform')
  cancelled.type('\u0003')
  expect(await cancelled.exit).toMatchObject({ code: 1 })

  const schema = await newSchema(gateway.url)
  await schema.output('register', '--tenant', 'east')
  const drop = inTerminal('tenants drop east --no-dump', schema.folder)
  await shows(drop, 'All data of east goes')
  drop.type('shop\r')
  await shows(drop, 'That is not the name of the database')
  drop.type(`\u0015${schema.platform}_east\r`)
  await shows(drop, `${schema.platform}_east is dropped, without a dump`)
  expect(await drop.exit).toMatchObject({ code: 0 })
})
