import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Io, processIo } from '../cli/io.ts'
import { runCli } from '../cli/run.ts'
import { serverCpu } from './lib/cpu.ts'
import { median } from './lib/measure.ts'
import { freePort } from './lib/rig.ts'

const HELP = `Measures \`database-gateway dev\`: from a function saved to the new function answering a call.

npm run bench:dev -- [options]

  --functions 100   how many functions the schema has
  --times 20        how many saves
  --help

The PostgreSQL is that of DATABASE_URL, or an embedded one in a temporary folder.
`

const AIM_MS = 300

/** Between two calls that ask for the new function, so that asking takes little of the CPU. */
const POLL_MS = 3

const { values } = parseArgs({
  options: {
    functions: { type: 'string', default: '100' },
    times: { type: 'string', default: '20' },
    help: { type: 'boolean' },
  },
})
if (values.help) console.log(HELP)
else await run(Number(values.functions), Number(values.times))

async function run(functions: number, times: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-dev-'))
  const url = `http://127.0.0.1:${await freePort()}`
  let interrupt = () => {}
  let started = () => {}
  const ready = new Promise<void>((resolve) => {
    started = resolve
  })
  const io: Io = {
    ...processIo(),
    out: (text) => text.includes('is deployed on save') && started(),
    env: { ...process.env, GATEWAY_URL: url, DATA_DIR: join(folder, 'data') },
    folder,
    isTerminal: false,
    mayAsk: false,
    columns: undefined,
    hasColor: false,
    onInterrupt: (heard) => {
      interrupt = heard
      return () => {}
    },
  }
  const platform = `dev${process.pid}`
  await writeSchema(folder, functions)
  const dev = runCli(['dev', '--platform', platform], io)
  try {
    const ended = dev.then((code) => {
      throw new Error(`dev has ended with the code ${code}`)
    })
    ended.catch(() => {})
    await Promise.race([ready, ended])
    const cpu = await readCpu(folder)
    const durations: number[] = []
    for (let i = 1; i <= times; i++) {
      const name = `f_${(i * 7) % functions}`
      const begun = performance.now()
      await writeFunction(folder, name, i)
      while ((await call(url, platform, name)) !== i) await sleep(POLL_MS)
      durations.push(performance.now() - begun)
    }
    const used = await readCpu(folder)
    const sorted = durations.toSorted((a, b) => a - b)
    const [least, most] = [sorted[0]!, sorted.at(-1)!].map(Math.round)
    const middle = Math.round(median(durations))
    console.log(
      `${functions} functions, ${times} saves: median ${middle} ms (${least} to ${most}); aim: below ${AIM_MS} ms`,
    )
    const each = (after: number, before: number) => Math.round((after - before) / times)
    console.log(
      `CPU of a save: ${each(used.own, cpu.own)} ms in this process, with the calls that ask` +
        (cpu.server === undefined || used.server === undefined
          ? ''
          : `; ${each(used.server, cpu.server)} ms in PostgreSQL`),
    )
  } finally {
    interrupt()
    await dev
    await rm(folder, { recursive: true, force: true })
  }
}

/** Returns the CPU time so far in milliseconds; `server`: of the embedded PostgreSQL. */
async function readCpu(folder: string): Promise<{ own: number; server: number | undefined }> {
  const { user, system } = process.cpuUsage()
  const file = join(folder, 'data/postgres/data/postmaster.pid')
  const pid = await readFile(file, 'utf8').catch(() => undefined)
  const server = pid === undefined ? undefined : serverCpu(Number.parseInt(pid, 10)) * 1000
  return { own: (user + system) / 1000, server }
}

async function writeSchema(folder: string, functions: number): Promise<void> {
  await mkdir(join(folder, 'postgresql/functions'), { recursive: true })
  await mkdir(join(folder, 'postgresql/migrations'))
  await writeFile(
    join(folder, 'postgresql/migrations/001_notes.sql'),
    'create table notes (note_id bigint primary key, body text not null);',
  )
  for (let i = 0; i < functions; i++) await writeFunction(folder, `f_${i}`, 0)
}

/** Writes a function in PL/pgSQL that reads a table and returns a number. */
function writeFunction(folder: string, name: string, number: number): Promise<void> {
  return writeFile(
    join(folder, `postgresql/functions/${name}.sql`),
    `create or replace function ${name}(p_least bigint default 0)
returns bigint
language plpgsql stable as $$
declare
    v_count bigint;
begin
    select count(*) into v_count from notes where note_id >= p_least;
    return v_count + ${number};
end;
$$;
`,
  )
}

async function call(url: string, platform: string, name: string): Promise<number | undefined> {
  const response = await fetch(`${url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform, function: name }),
  })
  const { rows } = (await response.json()) as { rows?: Record<string, number>[] }
  return rows?.[0]?.[name]
}
