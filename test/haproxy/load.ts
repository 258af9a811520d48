import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterTest } from '../helpers/after-test.ts'
import { type Json, schemaForm } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'

/** What the load needs of a platform. */
export const FILES: Files = {
  'migrations/001_marks.sql': 'create table marks (mark text not null);',
  'functions/send_back.pssql': `
    create or replace function send_back(number integer) returns integer language sql
    as $$ select number $$;`,
  // Writes after a while, so that a gateway that is killed leaves some that may have run.
  'functions/mark.pssql': `
    create or replace function mark(p_mark text, p_seconds double precision) returns text
    language plpgsql as $$
    begin
      perform pg_sleep(p_seconds);
      insert into marks values (p_mark);
      return p_mark;
    end $$;`,
  'functions/count_marks.pssql': `
    create or replace function count_marks(out mark text, out times bigint) returns setof record
    language sql stable as $$ select mark, count(*) from marks group by mark $$;`,
  'functions/tick.pssql': `
    create or replace function tick(p_count integer) returns table (n integer) language plpgsql
    as $$
    begin
      for n in 1..p_count loop
        perform pg_sleep(0.05);
        return next;
      end loop;
    end $$;`,
}

/** The files with another text of a function, and so with another checksum. */
export function release(version: number): Files {
  const text = `create or replace function version() returns integer language sql
    as $$ select ${version} $$;`
  return { ...FILES, 'functions/version.pssql': text }
}

/** Clients of one kind, each of which sends one request after another until it is stopped. */
export interface Load {
  kind: string
  answered(): number
  /** What went wrong, a line each. */
  failed(): string[]
  stop(): Promise<void>
}

/** Does `work` again and again, by `count` clients. */
export function startLoad(
  kind: string,
  count: number,
  pauseMs: number,
  work: (number: number) => Promise<void>,
): Load {
  let answered = 0
  let isOver = false
  let numbers = 0
  const failed: string[] = []
  const client = async () => {
    while (!isOver) {
      const number = numbers++
      const began = Date.now()
      await work(number).then(
        () => answered++,
        (error: NodeJS.ErrnoException) => {
          const { cause, code, message } = error
          const why = [code, message, (cause as Error)?.message].filter(Boolean).join(' ')
          const at = new Date(began).toISOString().slice(14, 23)
          failed.push(`${kind} ${number} at ${at} after ${Date.now() - began} ms: ${why}`)
        },
      )
      await sleep(pauseMs)
    }
  }
  const clients = Array.from({ length: count }, client)
  const stop = async () => {
    isOver = true
    await Promise.all(clients)
  }
  afterTest(stop)
  return { kind, answered: () => answered, failed: () => failed, stop }
}

const agent = new Agent({ keepAlive: true, maxSockets: 50 })

/** An answer in full. */
export interface Whole {
  status: number
  text: string
}

/** Sends a request over connections that are kept alive; rejects where the answer is not whole. */
export function send(
  url: string,
  body: string | undefined,
  headers: Record<string, string> = {},
): Promise<Whole> {
  const method = body === undefined ? 'GET' : 'POST'
  const type: Record<string, string> =
    body === undefined ? {} : { 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, agent, headers: { ...type, ...headers } }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode!, text }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Calls a function; rejects with what is not a 200. */
export async function call(
  url: string,
  platform: string,
  name: string,
  params: unknown[],
  headers: Record<string, string> = {},
): Promise<Json[]> {
  const body = JSON.stringify({ platform, function: name, params })
  const { status, text } = await send(`${url}/call`, body, headers)
  if (status !== 200) throw new Error(`${status} ${text}`)
  return JSON.parse(text).rows
}

function check(isRight: boolean, what: unknown): void {
  if (!isRight) throw new Error(typeof what === 'string' ? what : JSON.stringify(what))
}

/** Sends a deploy; rejects with what is not the answer of a deploy that is done. */
export async function deploy(
  url: string,
  path: '/register' | '/migrate',
  platform: string,
  files: Files,
  tenantId?: string,
): Promise<void> {
  const body = schemaForm(platform, await pack(files), tenantId)
  const headers = { accept: 'application/x-ndjson' }
  const response = await fetch(url + path, { method: 'POST', body, headers })
  const text = await response.text()
  const last = JSON.parse(text.trimEnd().split('\n').at(-1)!)
  check(response.status === 200 && /^(ready|completed)$/.test(last.status), text.slice(-500))
}

/** All kinds of requests at once: calls, streams of rows and of events, registers and deploys. */
export function startLoads(url: string, platform: string): Load[] {
  return [
    startLoad('call', 6, 5, async (number) => {
      const [row] = await call(url, platform, 'send_back', [number])
      check(row.send_back === number, row)
    }),
    startLoad('call that writes', 3, 5, async (number) => {
      await call(url, platform, 'mark', [`load ${number}`, 0.05])
    }),
    startLoad('stream', 2, 5, async () => {
      const body = JSON.stringify({ platform, function: 'tick', params: [20] })
      const { status, text } = await send(`${url}/call`, body, { accept: 'application/x-ndjson' })
      check(status === 200 && text.trimEnd().split('\n').length === 20, `${status} ${text}`)
    }),
    startLoad('events', 1, 5, async () => {
      // It goes on until the gateway stops, which ends it in due form.
      const { status } = await send(`${url}/admin/events`, undefined)
      check(status === 200, status)
    }),
    startLoad('register', 1, 300, async (number) => {
      await deploy(url, '/register', platform, release(0), `new${number % 5}`)
    }),
    startLoad('migrate', 1, 300, (number) =>
      deploy(url, '/migrate', platform, release(number + 1)),
    ),
  ]
}
