import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  queryDatabase,
  uniqueName,
} from '../helpers/gateway.ts'
import type { Files } from '../helpers/platforms.ts'
import { eventually, startProcess } from '../helpers/process.ts'

const FILES: Files = {
  'migrations/001_note.pssql': `
    create table note (id int generated always as identity, text text not null);
    create function linger() returns trigger language plpgsql
      as $$ begin perform pg_sleep(0.003); return null; end $$;
    -- A commit takes its time, so that some backends end in the middle of one.
    create constraint trigger linger after insert on note deferrable initially deferred
      for each row execute function linger();`,
  'functions/add_note.pssql': `
    create or replace function add_note(p_text text) returns int language plpgsql as $$
    declare new_id int;
    begin
      insert into note (text) values (p_text) returning id into new_id;
      perform pg_sleep(0.005);
      return new_id;
    end $$;`,
}

/** At least; there are more where those take less time than the kills and the restart. */
const KEYS = 60
const KILLS = 20
const WORKERS = 12
const BATCH = [0, 1]

const KINDS = ['call', 'batch', 'transaction'] as const

/** A request, as it is sent again and again. */
interface Work {
  key: string
  path: string
  body: string
  texts: string[]
  /** The answers of 200 without an error in them. */
  answers: Set<string>
}

function workOf(platform: string, number: number): Work {
  const kind = KINDS[number % KINDS.length]!
  const key = `${kind}-${number}`
  const call = (text: string) => ({ function: 'add_note', params: [text] })
  const texts = kind === 'call' ? [key] : BATCH.map((place) => `${key}-${place}`)
  const body =
    kind === 'call'
      ? { platform, ...call(key) }
      : { platform, calls: texts.map(call), transaction: kind === 'transaction' }
  const path = kind === 'call' ? '/call' : '/batch'
  return { key, path, body: JSON.stringify(body), texts, answers: new Set() }
}

/** The text of a complete answer; undefined where it has to be sent again. */
async function send(url: string, { key, path, body }: Work): Promise<string | undefined> {
  try {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body,
    })
    const text = await response.text()
    if (response.status !== 200) {
      expect([503, 504]).toContain(response.status)
      return undefined
    }
    for (const { error, status } of JSON.parse(text).results ?? []) {
      if (error) expect([503, 504]).toContain(status)
    }
    return text.includes('"error"') ? undefined : text
  } catch (error) {
    // The gateway is gone, or was killed before its answer.
    if (error instanceof TypeError || (error as Error).name === 'SyntaxError') return undefined
    throw error
  }
}

test('each write happens once, whichever backend or gateway is killed', async () => {
  const databaseUrl = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(databaseUrl))
  const platform = uniqueName('hammer')
  const database = `${platform}_main`
  const start = () => startProcess({ DATABASE_URL: databaseUrl })
  const gateways = await Promise.all([start(), start()])
  const urls = await Promise.all(gateways.map(({ url }) => url()))
  expect(await gateways[0].register(platform, FILES)).toMatchObject({ status: 200 })

  const works: Work[] = []
  let isRestarted = false
  let isOver = false
  let killed = 0
  let retries = 0
  const kill = async () => {
    while (!isOver) {
      const rows = await queryDatabase(
        database,
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = '${database}' and pid <> pg_backend_pid()
           and usename like 'gw\\_%' order by random() limit 2`,
        { asGateway: true },
      )
      killed += rows.length
      await sleep(60)
    }
  }
  const work = async (worker: number) => {
    while (works.length < KEYS || killed < KILLS || !isRestarted) {
      const one = workOf(platform, works.length)
      works.push(one)
      // Twice at once, through both gateways; then again until there is an answer.
      for (let i = 0; one.answers.size === 0; i++) {
        if (i > 0) retries++
        const sent = await Promise.all([0, 1].map((g) => send(urls[(worker + g) % 2]!, one)))
        for (const answer of sent) if (answer !== undefined) one.answers.add(answer)
        if (one.answers.size === 0) await sleep(20)
      }
    }
  }
  const working = Promise.all(Array.from({ length: WORKERS }, (_, i) => work(i)))
  const killing = kill()
  const done = () => works.filter(({ answers }) => answers.size > 0).length
  await eventually('some are done', () => done() > KEYS / 3)
  gateways[0].kill('SIGKILL')
  await gateways[0].exit
  urls[0] = await (await start()).url()
  isRestarted = true
  await working
  isOver = true
  await killing

  // Both gateways give each answer once more, and write nothing.
  for (const one of works) {
    for (const url of urls) {
      const again = await eventually(one.key, () => send(url, one))
      one.answers.add(again)
    }
  }
  expect(works.filter(({ answers }) => answers.size !== 1)).toEqual([])
  const notes = await queryDatabase(database, 'select id, text from note order by text collate "C"')
  expect(notes.map(({ text }) => text)).toEqual(works.flatMap(({ texts }) => texts).sort())
  // What was told is what was written.
  const ids = new Map(notes.map(({ id, text }) => [text, id]))
  for (const { answers, texts } of works) {
    const [answer] = answers
    for (const text of texts) expect(answer).toContain(`{"add_note":${ids.get(text)}}`)
  }
  expect(retries).toBeGreaterThan(0)
})
