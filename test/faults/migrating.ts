import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Json } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import {
  expectAlive,
  expectNothingLeft,
  expectSame,
  expectWhole,
  isDeployed,
  outcomeAfter,
  outcomeOf,
  repeat,
} from './checks.ts'
import { type Content, Reader } from './databases.ts'
import type { Reply } from './gateway.ts'
import { filesOf } from './platform.ts'
import { type Kind, recover, strike, type World } from './strikes.ts'
import type { Tally } from './tally.ts'

/** The same database without faults, at two versions. */
export interface Step extends Versions {
  version: number
}

interface Versions {
  before: Content
  after: Content
}

type Found = 'before' | 'after'

/** A platform with many databases, and one beside it that never meets a fault. */
export class Fleet {
  readonly #world: World
  readonly #tally: Tally
  readonly #reader: Reader
  readonly #tenants: string[]
  readonly #databases: string[]
  /** How many databases are at the version before. */
  #toDo: number

  constructor(world: World, tally: Tally, count: number) {
    this.#world = world
    this.#tally = tally
    this.#reader = new Reader(world.postgres)
    this.#tenants = Array.from({ length: count - 1 }, (_, i) => `tenant${i + 1}`)
    this.#databases = ['fleet_main', ...this.#tenants.map((tenant) => `fleet_${tenant}`)]
    this.#toDo = count
  }

  async create(version: number): Promise<void> {
    const archive = await pack(filesOf(version))
    const replies = [undefined, ...this.#tenants].map(
      (tenant) => this.#world.gateway.register('fleet', archive, tenant).reply,
    )
    for (const reply of await Promise.all(replies)) expect(reply).toMatchObject({ status: 200 })
  }

  /** Brings the one without faults to a version. */
  async reference(version: number): Promise<Content> {
    const reply = await this.#world.gateway.register('reference', await pack(filesOf(version)))
      .reply
    expect(reply).toMatchObject({ status: 200 })
    return this.#reader.read('reference_main')
  }

  /**
   * Kills while all databases are migrated, starts again what is down, and looks at each.
   * @returns how many it left undone; none where it did not hit: nothing had begun, or all was done
   */
  async migrateAndKill(kind: Kind, step: Step): Promise<number> {
    const { gateway, random } = this.#world
    const archive = await pack(filesOf(step.version))
    const flags = { on_error: random.pick(['stop', 'continue']) }
    const request = gateway.migrate('fleet', archive, flags)
    const calls = this.#startCalls()
    const killedAt = await strike(kind, this.#world, {
      deploys: this.#toDo,
      isOver: () => request.isAnswered,
    })
    if (killedAt !== undefined) await recover(kind, this.#world)
    const reply = await request.reply
    if (killedAt !== undefined && reply) {
      this.#tally.time('from a kill of PostgreSQL to the answer', performance.now() - killedAt)
    }
    await calls.stop()
    expectAlive(this.#world)
    await this.#tally.timed('from the recovery until nothing is left', () =>
      expectNothingLeft(this.#world),
    )

    this.#tally.countOutcome('migrate', outcomeAfter(kind, reply))
    const found = await this.#findVersions(step)
    expectTrue(reply, found)
    this.#toDo = [...found.values()].filter((one) => one === 'before').length
    if (killedAt === undefined || this.#toDo === 0) return 0
    for (const one of found.values()) this.#tally.countFound(one)
    return this.#toDo
  }

  /** Repeats the request until it completes; everything is then as it is without faults. */
  async complete(step: Step): Promise<void> {
    const { gateway } = this.#world
    const archive = await pack(filesOf(step.version))
    await repeat(async () => {
      const reply = await gateway.migrate('fleet', archive).reply
      this.#tally.countOutcome('migrate', outcomeOf(reply))
      if (reply?.body.status !== 'completed') return false
      expect(reply.body.databases_updated.toSorted()).toEqual(this.#databases.toSorted())
      return true
    })
    expectAlive(this.#world)
    const found = await this.#findVersions(step)
    expect([...found].filter(([, one]) => one !== 'after')).toEqual([])
    this.#toDo = this.#databases.length
  }

  async close(): Promise<void> {
    await this.#reader.close()
  }

  /** Which version each database has; it has nothing of any other. */
  async #findVersions({ before, after }: Versions): Promise<Map<string, Found>> {
    const found = new Map<string, Found>()
    for (const [database, content] of await this.#reader.readAll(this.#databases)) {
      expectWhole(database, content)
      const isBefore = migrationsIn(content) === migrationsIn(before)
      expectSame(database, content, isBefore ? asBefore(content, { before, after }) : after)
      found.set(database, isBefore ? 'before' : 'after')
    }
    return found
  }

  /** Functions are called all the while. */
  #startCalls() {
    const { gateway, random } = this.#world
    // More than the driver gathers before it writes.
    const value = 'long '.repeat(500)
    let isStopped = false
    const loop = async () => {
      while (!isStopped) {
        const tenant = random.pick(this.#tenants)
        const reply = await gateway.call('fleet', tenant, 'echo', { value }).reply
        const outcome = outcomeOf(reply)
        if (outcome === 'right') expect(reply?.body.rows).toEqual([{ echo: value }])
        this.#tally.countOutcome('call', outcome)
        await sleep(outcome === 'right' ? 50 : 200)
      }
    }
    const ended = loop()
    ended.catch(() => {})
    return {
      stop: () => {
        isStopped = true
        return ended
      },
    }
  }
}

/** What an answer says of each database is so. */
function expectTrue(reply: Reply, found: Map<string, Found>): void {
  if (!reply) return
  const { databases_updated: updated = [], not_started: notStarted = [], failed = [] } = reply.body
  for (const database of updated) expect(found.get(database), database).toBe('after')
  for (const database of notStarted) expect(found.get(database), database).toBe('before')
  for (const one of failed) expect(one).toMatchObject({ error: 'connection_failed' })
  // An error before the first database names none.
  const named = [...updated, ...notStarted, ...failed.map((one: Json) => one.database)]
  if (reply.body.status === 'completed' || failed.length > 0) {
    expect(named.toSorted()).toEqual([...found.keys()].toSorted())
  }
}

/** As before, but for new values of an enum, where it has them: they are committed ahead of all. */
function asBefore(content: Content, { before, after }: Versions): Content {
  const isAhead = migrationsIn(content) < valuesIn(content)
  if (!isAhead || !isDeployed(before) || !isDeployed(after)) return before
  return {
    state: { ...before.state, stages: after.state.stages },
    dump: { ...before.dump, enums: after.dump.enums },
  }
}

function migrationsIn(content: Content): number {
  return isDeployed(content) ? content.state.migrations.length : 0
}

function valuesIn(content: Content): number {
  return isDeployed(content) ? content.state.stages.length : 0
}
