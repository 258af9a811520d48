import { cp, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { DeployOnSave } from '../../cli/dev/deploy-on-save.ts'
import { processIo } from '../../cli/io.ts'
import { type CliOptions, cli, cliOutput, type RunningCli, startCli } from '../helpers/cli.ts'
import { newSchema } from '../helpers/cli-schema.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  queryDatabase,
  TEST_SECRET,
} from '../helpers/gateway.ts'
import { freePort } from '../helpers/process.ts'

const gateway = await startOneGateway()

/** Starts `dev`; `said` resolves once it has written a text that it had not been asked for before. */
function startDev(args: string[], options: CliOptions) {
  let output = ''
  const seen = new Map<string, number>()
  let look = () => {}
  const running: RunningCli = startCli(['dev', ...args], {
    ...options,
    onOutput: (text) => {
      output = stripVTControlCharacters(text)
      look()
    },
  })
  const said = (text: string) =>
    new Promise<void>((resolve, reject) => {
      look = () => {
        const count = (seen.get(text) ?? 0) + 1
        if (output.split(text).length <= count) return
        seen.set(text, count)
        look = () => {}
        resolve()
      }
      look()
      running.ended.then(({ code, err }) => reject(new Error(`dev has ended with ${code}: ${err}`)))
    })
  return { ...running, said }
}

const answering = (text: string) =>
  `create or replace function reply_to() returns text language sql as $$ select '${text}' $$;\n`

test('dev deploys on save, shows errors in place, and writes the types anew', async () => {
  const schema = await newSchema(gateway.url)
  const dev = startDev(['--types', 'src/db.ts'], schema.options)
  await dev.said('2 functions changed')
  await dev.said('✓ src/db.ts')
  await dev.said('postgresql is deployed on save')
  const types = join(schema.folder, 'src/db.ts')
  expect(await readFile(types, 'utf8')).not.toContain('reply_to')

  await schema.write('functions/reply_to.sql', answering('one'))
  await dev.said('functions/reply_to.sql: 1 function changed')
  await dev.said('✓ src/db.ts')
  expect(await readFile(types, 'utf8')).toContain('reply_to')
  const call = async () => (await gateway.call(schema.platform, 'reply_to')).body.rows
  expect(await call()).toEqual([{ reply_to: 'one' }])

  await schema.write('functions/reply_to.sql', answering('two').replace('select', 'selct'))
  await dev.said('functions/reply_to.sql:1  syntax error at or near "selct"')
  expect(await call()).toEqual([{ reply_to: 'one' }])
  // A folder that is made later is watched too.
  await mkdir(join(schema.folder, 'postgresql/functions/more'))
  await schema.write(
    'functions/more/other.sql',
    'create function other() returns int language sql as $$ select 1 $$;',
  )
  await dev.said('functions/reply_to.sql:1  syntax error at or near "selct"')
  await schema.write('functions/reply_to.sql', answering('three'))
  await dev.said('2 functions changed')
  expect(await call()).toEqual([{ reply_to: 'three' }])
  await schema.write(
    'functions/more/other.sql',
    'create function other() returns int language sql as $$ select 2 $$;',
  )
  await dev.said('functions/more/other.sql: 1 function changed')
  await rm(join(schema.folder, 'postgresql/functions/more'), { recursive: true })
  await dev.said('1 function dropped')

  // So is the folder itself once it is made again, as a checkout does.
  const root = join(schema.folder, 'postgresql')
  await cp(root, join(schema.folder, 'kept'), { recursive: true })
  await rm(root, { recursive: true })
  await dev.said('No postgresql/ folder inside')
  await cp(join(schema.folder, 'kept'), root, { recursive: true })
  await schema.write(
    'functions/again.sql',
    'create function again() returns int language sql as $$ select 3 $$;',
  )
  await dev.said('functions/again.sql')

  // A migration that `new migration` has made waits for its first statement, and runs then.
  const path = (await schema.output('new', 'migration', 'due')).trim()
  await dev.said('Waiting until 002_due.pssql has a statement')
  await schema.write('migrations/002_due.pssql', '/* of /* notes */\n-- later */ -- /*\n;')
  await dev.said('Waiting until 002_due.pssql has a statement')
  await schema.write('migrations/002_due.pssql', 'alter table notes add due date;')
  await dev.said('migrations/002_due.pssql: 1 migration')
  expect(path).toBe('postgresql/migrations/002_due.pssql')
  const columns = await queryDatabase(
    `${schema.platform}_main`,
    "select from information_schema.columns where table_name = 'notes' and column_name = 'due'",
  )
  expect(columns).toHaveLength(1)

  dev.terminate()
  expect(await dev.ended).toMatchObject({ code: 0 })
})

test('a deploy that no gateway has taken is tried again when a file is saved as it was', async () => {
  const schema = await newSchema(gateway.url)
  const said: string[] = []
  const io = { ...processIo(), hasColor: false, err: (text: string) => said.push(text) }
  const target = { url: 'http://127.0.0.1:1', platform: 'p', tenant: undefined, token: undefined }
  const { folder } = schema
  const deployment = { target, platform: 'p', folder, args: {}, onDeployed: async () => {} }
  const deploys = new DeployOnSave(deployment, io)
  await deploys.deploy()
  await deploys.deploy()
  expect(said).toEqual([
    expect.stringContaining('No gateway answers'),
    expect.stringContaining('No gateway answers'),
  ])
})

test('dev wants a yes before it deploys to another machine', async () => {
  const schema = await newSchema(gateway.url)
  // An address that leads here, and is not known to.
  const url = gateway.url.replace('127.0.0.1', '[::ffff:127.0.0.1]')
  const far = await cli(['dev', '--url', url], schema.options)
  expect(far).toMatchObject({
    code: 2,
    err: expect.stringContaining(`${url} is not of this machine`),
  })
  const env = { DATABASE_URL: 'postgres://owner:hidden@db.invalid/prod' }
  const own = await cli(['dev', '--url', `http://127.0.0.1:${await freePort()}`], {
    ...schema.options,
    env,
  })
  expect(own.code).toBe(2)
  expect(own.err).toContain('owner@db.invalid:5432/prod is not of this machine')
})

test('dev starts a gateway where none answers, and stops it', async () => {
  const url = await createAdminDatabase()
  const schema = await newSchema(`http://127.0.0.1:${await freePort()}`)
  const env = { ...schema.env, DATABASE_URL: url, GATEWAY_SECRET: TEST_SECRET }
  const dev = startDev([], { ...schema.options, env })
  await dev.said(`✓ Gateway started at ${schema.env.GATEWAY_URL}`)
  await dev.said('2 functions changed')
  expect(await schema.output('call', 'add_note', 'Buy milk')).toContain('1 row')
  dev.interrupt()
  const ended = await dev.ended
  expect(ended.code).toBe(0)
  // Warnings of the gateway are lines for people.
  expect(ended.err).not.toContain('{')
  expect(await schema.run('status')).toMatchObject({ code: 1 })
  const far = await cli(['dev', '--url', 'http://192.0.2.1.example:9'], schema.options)
  expect(far).toMatchObject({ code: 1, err: expect.stringContaining('could not listen there') })
  await dropAdminDatabase(url)
})

test('types and openapi write what the gateway tells, to a file once', async () => {
  const schema = await newSchema(gateway.url)
  await schema.output('register')
  const types = await schema.output('types')
  expect(types).toContain('add_note')
  expect(await schema.output('types', '--out', 'src/db.ts')).toBe('✓ src/db.ts\n')
  expect(await readFile(join(schema.folder, 'src/db.ts'), 'utf8')).toBe(types)
  expect(await schema.output('types', '--out', 'src/db.ts')).toBe('✓ src/db.ts is up to date\n')
  expect(await schema.output('types', '--bigint')).not.toBe(types)
  expect(await schema.output('types', '--language', 'php')).toContain('<?php')
  expect(await schema.run('types', '--language', 'perl')).toMatchObject({ code: 2 })
  const functions = JSON.parse(await schema.output('openapi'))
  expect(functions.openapi).toMatch(/^3\.1/)
  expect(JSON.stringify(functions.paths)).toContain('add_note')
  const endpoints = JSON.parse(await cliOutput(['openapi', '--gateway'], schema.options))
  expect(endpoints.paths).toHaveProperty('/register')
  const unknown = await cli(['types', '--platform', 'nobody'], schema.options)
  expect(unknown).toMatchObject({ code: 1, err: expect.stringContaining('database_not_found') })
})
