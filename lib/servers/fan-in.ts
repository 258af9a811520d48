import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../errors.ts'
import type { ServerEntry } from './servers.ts'

/** What is needed of the parts of a server that is asked. */
interface Asked {
  health: {
    /** Whether PostgreSQL answers a query that is sent now. */
    answers(withinMs: number): Promise<boolean>
  }
}

interface Fleet<G> {
  readonly areSeveral: boolean
  entries(): ServerEntry<G>[]
  named(name: string): G
}

/** What one server has answered. */
export interface Answer<T> {
  server: string
  answer: T
}

/** What the servers have answered, in the order of SERVERS, and the names of those that have not. */
export interface Gathered<T> {
  answers: Answer<T>[]
  away: string[]
}

/** How long a server that is busy is left alone, and then how long it has to answer a small query. */
const PATIENCE_MS = 600
const PROBE_MS = 600

/**
 * Asks all servers side by side, or one of them. A server is waited for as long as it answers a small
 * query now and then; one that does not is away within 2 s, as is one that is not open.
 * @param only name of the one that is asked
 * @throws {GatewayError} connection_failed if none answers; what `work` throws, but where a server is
 *   away or has no connection to spare
 */
export async function gather<G extends Asked, T>(
  servers: Fleet<G>,
  work: (there: G, server: string) => Promise<T>,
  only?: string,
): Promise<Gathered<T>> {
  if (!servers.areSeveral || only !== undefined) {
    const server = only ?? servers.entries()[0]!.name
    const there = servers.named(server)
    const answer = servers.areSeveral
      ? await whileAnswering(there, server, work)
      : await work(there, server)
    return { answers: [{ server, answer }], away: [] }
  }
  const names = servers.entries().map(({ name }) => name)
  const outcomes = await Promise.allSettled(
    names.map(async (server) => ({
      server,
      answer: await whileAnswering(servers.named(server), server, work),
    })),
  )
  const failures = outcomes.filter((one) => one.status === 'rejected').map(({ reason }) => reason)
  const fault = failures.find((error) => !isAway(error))
  if (fault !== undefined) throw fault
  const answers = outcomes.filter((one) => one.status === 'fulfilled').map(({ value }) => value)
  if (answers.length === 0) throw failures[0]
  const away = names.filter((_, i) => outcomes[i]!.status === 'rejected')
  return { answers, away }
}

/** Rows that are put in order in one turn of the event loop. */
const MERGED = 1000

/**
 * Returns the rows of all answers in one order, each with its `server`. Where there is only `main`, its
 * rows are as they are. Takes some turns of the event loop, so that 10,000 rows do not block it.
 */
export async function joinRows<T extends object>(
  servers: { readonly areSeveral: boolean },
  answers: Answer<T[]>[],
  compare: (one: T, other: T) => number,
): Promise<(T & { server?: string })[]> {
  if (!servers.areSeveral) return answers.flatMap(({ answer }) => answer)
  const lists: { server: string; rows: T[]; next: number }[] = []
  for (const { server, answer } of answers) {
    if (answer.length > MERGED) await nextTurn()
    // A server's own order may be that of its collation.
    lists.push({ server, rows: answer.toSorted(compare), next: 0 })
  }
  const joined: (T & { server: string })[] = []
  for (;;) {
    let first: (typeof lists)[number] | undefined
    for (const list of lists) {
      if (list.next === list.rows.length) continue
      if (!first || compare(list.rows[list.next]!, first.rows[first.next]!) < 0) first = list
    }
    if (!first) return joined
    joined.push({ ...first.rows[first.next++]!, server: first.server })
    if (joined.length % MERGED === 0) await nextTurn()
  }
}

/** Compares texts as PostgreSQL does with the collation "C". */
export function compareBytes(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

/** Whether a server has not answered, as far as its tenants' requests are concerned. */
export function isAway(error: unknown): boolean {
  return error instanceof GatewayError && error.status === 503
}

/** @throws {GatewayError} connection_failed if the server stops answering before the work is done */
export async function whileAnswering<G extends Asked, T>(
  there: G,
  server: string,
  work: (there: G, server: string) => Promise<T>,
): Promise<T> {
  const ending = new AbortController()
  const working = work(there, server)
  try {
    return await Promise.race([working, silence(there, server, ending.signal)])
  } finally {
    ending.abort()
    working.catch(() => {})
  }
}

/** Rejects when the server does not answer; never resolves. */
function silence(there: Asked, server: string, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const look = async () => {
      await sleep(PATIENCE_MS, undefined, { ref: false, signal })
      // Twice: one failure may be that of a busy event loop.
      if (await there.health.answers(PROBE_MS)) return look()
      if (await there.health.answers(PROBE_MS)) return look()
      reject(new GatewayError('connection_failed', `Server ${server} does not answer`, { server }))
    }
    look().catch(() => {})
  })
}

/** Returns the field of a list that names the servers that have not answered; none without SERVERS. */
export function awayField(
  { areSeveral }: { readonly areSeveral: boolean },
  { away }: { away: string[] },
): { servers_away?: string[] } {
  return areSeveral ? { servers_away: away } : {}
}
