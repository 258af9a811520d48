import type { Json } from '../helpers/gateway.ts'
import type { Random } from './random.ts'

/** How a call ended for its client. */
export type CallOutcome =
  | 'right'
  | 'may have run'
  | 'rolled back'
  | 'has not run'
  | 'no connection'
  | 'timeout'
  | 'allowed'
  | 'lost'
  | 'wrong'

/** A call that was made. */
export interface Made {
  id: string
  tenant: string
  /** Whether each run of it leaves a row. */
  isNoted: boolean
  /** `performance.now()` when it was answered. */
  endedAt: number
  outcome: CallOutcome
  /** What the client has, if it is not what it should have. */
  reply: Json
}

interface Kind {
  tenths: number
  isNoted: boolean
  path?: string
  /** What the request has, beside whom it is for. */
  request(id: string, random: Random): object
  /** The rows that are right. */
  rows(id: string): object[]
}

const KINDS: Kind[] = [
  {
    tenths: 3,
    isNoted: true,
    request: (id) => ({ function: 'note', params: [id] }),
    rows: (id) => [{ note: id }],
  },
  {
    tenths: 2,
    isNoted: true,
    request: (id, random) => ({ function: 'note_slowly', params: [id, random.next() / 5] }),
    rows: (id) => [{ note_slowly: id }],
  },
  {
    tenths: 1,
    isNoted: true,
    request: (id) => ({ function: 'note', params: [id], session: { 'app.user': 'anna' } }),
    rows: (id) => [{ note: id }],
  },
  {
    tenths: 1,
    isNoted: true,
    request: (id) => ({ function: 'note_and_commit', params: [id] }),
    rows: (id) => [{ p_id: id }],
  },
  ...[false, true].map((transaction) => ({
    tenths: 1,
    isNoted: true,
    path: '/batch',
    request: (id: string) => ({ transaction, calls: [{ function: 'note', params: [id] }] }),
    rows: (id: string) => [{ note: id }],
  })),
  {
    tenths: 1,
    isNoted: false,
    request: (id) => ({ function: 'look', params: [id] }),
    rows: (id) => [{ look: id }],
  },
]

/** Each kind as often as it shall come, in tenths. */
const MIX = KINDS.flatMap((kind) => Array<Kind>(kind.tenths).fill(kind))

/** An answer that is not there by then never comes. */
const PATIENCE_MS = 60_000

export interface LoadOptions {
  url: string
  platform: string
  tenants: string[]
  clients: number
  random: Random
  /** The first part of the ids. */
  name: string
  /** Answers that are right during this fault, and only then: nothing of the call is left. */
  isAllowed?: ((reply: Json) => boolean) | undefined
}

/** Clients that call without a pause, each one after the other, until they are told to stop. */
export class Load {
  readonly made: Made[] = []
  readonly #options: LoadOptions
  readonly #clients: Promise<void>[]
  #isOver = false
  #lastId = 0

  constructor(options: LoadOptions) {
    this.#options = options
    this.#clients = Array.from({ length: options.clients }, () => this.#run())
  }

  /** Resolves when every call has ended. */
  async stop(): Promise<Made[]> {
    this.#isOver = true
    await Promise.all(this.#clients)
    return this.made
  }

  /** Makes one more call, in this tenant. */
  async callOnce(tenant: string): Promise<Made> {
    const { random } = this.#options
    const kind = random.pick(MIX)
    const id = `${this.#options.name}-${++this.#lastId}`
    const [outcome, reply] = await this.#outcomeOf(kind, id, tenant)
    const { isNoted } = kind
    const made = { id, tenant, isNoted, endedAt: performance.now(), outcome, reply }
    this.made.push(made)
    return made
  }

  async #run(): Promise<void> {
    const { random, tenants } = this.#options
    while (!this.#isOver) await this.callOnce(random.pick(tenants))
  }

  async #outcomeOf(kind: Kind, id: string, tenant: string): Promise<[CallOutcome, Json]> {
    const { url, platform, random, isAllowed } = this.#options
    const request = { platform, tenant_id: tenant, ...kind.request(id, random) }
    let reply: Json
    try {
      const response = await fetch(url + (kind.path ?? '/call'), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(request),
        signal: AbortSignal.timeout(PATIENCE_MS),
      })
      const body = (await response.json()) as Json
      // A batch here is of one call, and its answer is that of the call.
      reply = { status: response.status, ...body, ...body.results?.[0] }
    } catch (error) {
      return ['lost', String((error as Error).cause ?? error)]
    }
    if (reply.status === 200) {
      const isRight = JSON.stringify(reply.rows) === JSON.stringify(kind.rows(id))
      return isRight ? ['right', undefined] : ['wrong', reply]
    }
    return [isAllowed?.(reply) ? 'allowed' : outcomeOfError(reply), reply]
  }
}

function outcomeOfError({ status, error, message, may_have_run }: Json): CallOutcome {
  if (status === 503 && error === 'pool_exhausted') return 'no connection'
  if (status === 504 && error === 'query_timeout') return 'timeout'
  if (status !== 503 || error !== 'connection_failed') return 'wrong'
  // It says nothing of a run where not even the database was found: there is none.
  if (may_have_run === undefined && !/function/.test(message)) return 'has not run'
  if (may_have_run === true && message.endsWith('the function may have run')) return 'may have run'
  if (may_have_run === false && message.endsWith('the function was rolled back'))
    return 'rolled back'
  if (may_have_run === false && message.endsWith('the function has not run')) return 'has not run'
  return 'wrong'
}
