import { expect } from 'vitest'
import type { Json } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import {
  expectAlive,
  expectNothingLeft,
  expectSame,
  expectWhole,
  expectWholeMigrations,
  isDeployed,
  outcomeAfter,
  outcomeOf,
  repeat,
} from './checks.ts'
import { type Content, catalogOf, dropPlatform, existingDatabases, Reader } from './databases.ts'
import type { Reply } from './gateway.ts'
import { filesOf } from './platform.ts'
import { type Kind, recover, strike, type World } from './strikes.ts'
import type { Tally } from './tally.ts'

type Found = 'absent' | 'empty' | 'begun' | 'created'

/** The version that new databases get. */
const VERSION = 3

/** Tenants of a new platform, each of which registers. */
export class Newcomers {
  readonly #world: World
  readonly #tally: Tally
  readonly #reader: Reader
  readonly #platform: string
  readonly #tenants: string[]
  /** How many of them have no database that is ready. */
  #toDo: number
  /** Those whose migrations did not all run in the deploy that completed them. */
  readonly #begun = new Set<string>()

  constructor(world: World, tally: Tally, platform: string, count: number) {
    this.#world = world
    this.#tally = tally
    this.#reader = new Reader(world.postgres)
    this.#platform = platform
    this.#tenants = Array.from({ length: count }, (_, i) => `tenant${i + 1}`)
    this.#toDo = count
  }

  /** A database that is created without faults. */
  static async reference({ gateway, postgres }: World): Promise<Content> {
    const reply = await gateway.register('newcomer', await pack(filesOf(VERSION))).reply
    expect(reply).toMatchObject({ status: 200 })
    const reader = new Reader(postgres)
    return reader.read('newcomer_main').finally(() => reader.close())
  }

  /**
   * Kills while all of them register, starts again what is down, and looks at each database.
   * @returns how many it left undone; none where it did not hit: nothing had begun, or all was done
   */
  async registerAndKill(kind: Kind, reference: Content): Promise<number> {
    const requests = await this.#sendAll()
    const killedAt = await strike(kind, this.#world, {
      deploys: this.#toDo,
      isOver: () => requests.every(({ isAnswered }) => isAnswered),
    })
    if (killedAt !== undefined) await recover(kind, this.#world)
    const replies = await Promise.all(requests.map(({ reply }) => reply))
    expectAlive(this.#world)
    await this.#tally.timed('from the recovery until nothing is left', () =>
      expectNothingLeft(this.#world),
    )

    for (const reply of replies) this.#tally.countOutcome('register', outcomeAfter(kind, reply))
    const found = await this.#findWhatIsThere(reference)
    this.#expectTrue(replies, found)
    this.#toDo = [...found.values()].filter((one) => one !== 'created').length
    if (killedAt === undefined || this.#toDo === 0) return 0
    for (const one of found.values()) this.#tally.countFound(one)
    return this.#toDo
  }

  /** All of them register until they are ready; everything is then as it is without faults. */
  async complete(reference: Content): Promise<void> {
    await repeat(async () => {
      const requests = await this.#sendAll()
      const replies = await Promise.all(requests.map(({ reply }) => reply))
      for (const reply of replies) this.#tally.countOutcome('register', outcomeOf(reply))
      return replies.every((reply) => reply?.body.status === 'ready')
    })
    expectAlive(this.#world)
    await expectNothingLeft(this.#world)
    const found = await this.#findWhatIsThere(reference)
    expect([...found].filter(([, one]) => one !== 'created')).toEqual([])
    const catalog = await catalogOf(this.#world.postgres, this.#platform)
    expect([...catalog].toSorted()).toEqual(this.#databases.toSorted())
    expect(await this.#strangers()).toEqual([])
  }

  async drop(): Promise<void> {
    await this.#reader.close()
    await dropPlatform(this.#world.postgres, this.#platform)
  }

  get #databases(): string[] {
    return this.#tenants.map((tenant) => `${this.#platform}_${tenant}`)
  }

  async #sendAll() {
    const archive = await pack(filesOf(VERSION))
    return this.#tenants.map((tenant) =>
      this.#world.gateway.register(this.#platform, archive, tenant),
    )
  }

  /** Nothing is half there, and what is in the catalog is there. */
  async #findWhatIsThere(reference: Content): Promise<Map<string, Found>> {
    const catalog = await catalogOf(this.#world.postgres, this.#platform)
    const found = new Map<string, Found>()
    for (const [database, content] of await this.#reader.readAll(this.#databases)) {
      if (catalog.has(database) || isDeployed(content)) {
        expectWhole(database, content)
        const comparable = this.#begun.has(database) ? withoutApplied : withoutChecks
        expectSame(database, comparable(content), comparable(reference))
        found.set(database, 'created')
      } else if (typeof content === 'string') {
        found.set(database, content)
      } else {
        expectWholeMigrations(database, content)
        this.#begun.add(database)
        found.set(database, 'begun')
      }
    }
    return found
  }

  /** Who was told to be ready is. */
  #expectTrue(replies: Reply[], found: Map<string, Found>): void {
    for (const reply of replies) {
      if (reply?.status === 200) expect(found.get(reply.body.database)).toBe('created')
    }
  }

  /** Databases of the server that are in no catalog, no templates, and of which no test knows. */
  async #strangers(): Promise<string[]> {
    const { postgres } = this.#world
    const known = await postgres.query(
      'select database from _db_gateway_databases union all select database from _db_gateway_templates',
    )
    const own = new Set(['postgres', 'gateway', 'template0', 'template1'])
    for (const { database } of known) own.add(database)
    return [...(await existingDatabases(postgres))].filter((name) => !own.has(name))
  }
}

/** Without what the ledger says of the migrations of a deploy. */
function withoutApplied(content: Content): Content {
  return withDeployments(content, (all) =>
    all.filter(hasChanged).map((one) => ({ ...one, migrations_applied: undefined })),
  )
}

/**
 * Without deploys that found all in place: where the catalog was not told of the first, the handover
 * is repeated, and the functions are looked at once more.
 */
function withoutChecks(content: Content): Content {
  return withDeployments(content, (all) => all.filter(hasChanged))
}

function hasChanged({ functions_changed: changed, migrations_applied: applied }: Json): boolean {
  return changed > 0 || applied.length > 0
}

function withDeployments(content: Content, change: (all: Json[]) => Json[]): Content {
  if (!isDeployed(content)) return content
  const { state, dump } = content
  const deployments = change(dump.contents._db_gateway_deployments)
  const contents = { ...dump.contents, _db_gateway_deployments: deployments }
  return { state, dump: { ...dump, contents } }
}
