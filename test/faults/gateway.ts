import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Json, schemaForm } from '../helpers/gateway.ts'
import { type GatewayProcess, startProcess } from '../helpers/process.ts'
import type { MortalPostgres } from './postgres.ts'
import type { Random } from './random.ts'
import { registerProcess } from './setup.ts'

/** What a client has of its request in the end; undefined where the answer was cut. */
export type Reply = { status: number; body: Json; isInLines: boolean } | undefined

/** A request that has been sent. */
export interface Pending {
  isAnswered: boolean
  reply: Promise<Reply>
}

/** An answer that is not there by then never comes. */
const PATIENCE_MS = 60_000

const DEPLOY_DONE = '"message":"Deploy: '
const LINES = 'application/x-ndjson'

/** The gateway as a process, which can be killed and started again. */
export class MortalGateway {
  readonly #postgres: MortalPostgres
  readonly #random: Random
  readonly #folder: string
  #process: GatewayProcess | undefined
  #url = ''
  #starts = 0
  #hasEnded = false
  #deploysDone = 0
  #readUntil = 0
  readonly #bugs: string[] = []

  constructor(postgres: MortalPostgres, random: Random, folder: string) {
    this.#postgres = postgres
    this.#random = random
    this.#folder = folder
  }

  /** By which the connections of this process, and of no other, are known in PostgreSQL. */
  get applicationName(): string {
    return `gateway-${this.#starts}`
  }

  /** Whether the process has ended, by whatever cause. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  async start(): Promise<void> {
    this.#starts++
    const way = this.#random.pick(['tcp', 'socket'] as const)
    const cwd = join(this.#folder, 'gateway')
    await mkdir(cwd, { recursive: true })
    const started = await startProcess(
      { DATABASE_URL: this.#postgres.url(way, this.applicationName) },
      cwd,
    )
    registerProcess(this.#folder, started.pid)
    this.#process = started
    this.#hasEnded = false
    this.#deploysDone = 0
    this.#readUntil = 0
    started.exit.then(() => {
      if (this.#process === started) this.#hasEnded = true
    })
    this.#url = await started.url()
  }

  async kill(): Promise<void> {
    this.#process!.kill('SIGKILL')
    await this.#process!.exit
    this.#bugs.push(...bugsIn(this.#process!.lines()))
  }

  /** How many deploys it has told to be done. */
  deploysDone(): number {
    const output = this.#process!.output()
    for (;;) {
      const at = output.indexOf(DEPLOY_DONE, this.#readUntil)
      if (at < 0) return this.#deploysDone
      this.#deploysDone++
      this.#readUntil = at + DEPLOY_DONE.length
    }
  }

  /** What it has logged that is a bug, or no log at all, as what a crash leaves. */
  bugs(): string[] {
    return [...this.#bugs, ...bugsIn(this.#process!.lines())]
  }

  /** Migrates all databases of a platform; the answer comes in lines or whole. */
  migrate(platform: string, archive: Uint8Array, flags: Record<string, string> = {}): Pending {
    const accept = this.#random.pick([LINES, 'application/json'])
    const body = schemaForm(platform, archive, undefined, flags)
    return this.#send('/migrate', { method: 'POST', body, headers: { accept } })
  }

  register(platform: string, archive: Uint8Array, tenantId?: string): Pending {
    const body = schemaForm(platform, archive, tenantId)
    return this.#send('/register', { method: 'POST', body })
  }

  createTenant(platform: string, tenantId: string): Pending {
    return this.#sendJson('/admin/create-tenant', { platform, tenant_id: tenantId })
  }

  call(platform: string, tenantId: string, name: string, params: unknown): Pending {
    return this.#sendJson('/call', { platform, tenant_id: tenantId, function: name, params })
  }

  async get(path: string): Promise<Reply> {
    return this.#send(path, {}).reply
  }

  #sendJson(path: string, body: object): Pending {
    return this.#send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  }

  #send(path: string, init: RequestInit): Pending {
    const pending: Pending = { isAnswered: false, reply: Promise.resolve(undefined) }
    const signal = AbortSignal.timeout(PATIENCE_MS)
    pending.reply = this.#read(path, { ...init, signal }).finally(() => {
      pending.isAnswered = true
    })
    // It is looked at later.
    pending.reply.catch(() => {})
    return pending
  }

  async #read(path: string, init: RequestInit): Promise<Reply> {
    let text: string
    let response: Response
    try {
      response = await fetch(this.#url + path, init)
      text = await response.text()
    } catch (error) {
      if (!init.signal?.aborted) return undefined
      throw new Error(`No answer of ${path} within ${PATIENCE_MS} ms`, { cause: error })
    }
    const isInLines = response.headers.get('content-type')?.startsWith(LINES) === true
    const body = JSON.parse(isInLines ? lastLine(text) : text)
    return { status: response.status, body, isInLines }
  }
}

function bugsIn(lines: string[]): string[] {
  return lines.filter((line) => !/^\{"time":"[^"]+","level":"(?!error)/.test(line))
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)!
}
