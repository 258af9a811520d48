import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { pack } from '../helpers/platforms.ts'
import { during, expectNothingLeft } from './checks.ts'
import { Newcomers } from './creating.ts'
import { MortalGateway } from './gateway.ts'
import { Fleet } from './migrating.ts'
import { filesOf } from './platform.ts'
import { MortalPostgres } from './postgres.ts'
import { Random } from './random.ts'
import { registerProcess } from './setup.ts'
import { chooseKills, type Kind, type World } from './strikes.ts'
import { Tally } from './tally.ts'

const KILLS = Number(process.env.FAULTS_KILLS || 32)
const SEED = Number(process.env.FAULTS_SEED || Date.now() % 1_000_000)

const CREATION_KILLS = Math.floor(KILLS / 4)
const MIGRATION_KILLS = KILLS - CREATION_KILLS
const DATABASES = 30

/** How often the next kill comes before the work of the last one has been completed. */
const AGAIN = { migration: 0.5, creation: 0.8 }
/** They are done before a kill can hit them. */
const FEW = 4

const folder = inject('faultsFolder')
const random = new Random(SEED)
const tally = new Tally()
let world: World

beforeAll(async () => {
  console.log(`FAULTS_SEED=${SEED} FAULTS_KILLS=${KILLS}`)
  // So that all that is written is in one folder.
  process.env.TMPDIR = folder
  registerProcess(folder, process.pid)
  const postgres = await MortalPostgres.start(folder)
  world = { postgres, random, gateway: new MortalGateway(postgres, random, folder) }
})

beforeEach(() => world.gateway.start())

afterAll(async () => {
  console.log(`\nFAULTS_SEED=${SEED}: ${tally}\n`)
  await world?.postgres.stop()
})

/** Hits once or several times; a kill that misses, as all is done, comes again later. */
async function hitSome(
  kills: Kind[],
  again: number,
  attempt: (kind: Kind) => Promise<number>,
): Promise<void> {
  let undone: number
  do {
    const kind = kills.shift()!
    undone = await during(kind, () => attempt(kind))
    tally.countKill(kind, undone > 0)
    if (undone === 0) kills.push(kind)
  } while (undone > FEW && kills.length > 0 && random.chance(again))
}

/** For a machine that has much else to do; what never ends is found out long before. */
function timeLimit(kills: number): number {
  return 90_000 + kills * 60_000
}

describe(`a kill of the gateway or of PostgreSQL while ${DATABASES} databases are`, () => {
  it(
    'migrated leaves each as it was or as it shall be; repeated, the request completes',
    async () => {
      const kills = chooseKills(random, MIGRATION_KILLS)
      const fleet = new Fleet(world, tally, DATABASES)
      let version = 1
      let before = await fleet.reference(version)
      await fleet.create(version)
      while (kills.length > 0) {
        version++
        const step = { version, before, after: await fleet.reference(version) }
        await hitSome(kills, AGAIN.migration, (kind) => fleet.migrateAndKill(kind, step))
        await during(`Version ${version}`, () => fleet.complete(step))
        before = step.after
      }
      await fleet.close()
      await expectNothingLeft(world)
    },
    timeLimit(MIGRATION_KILLS),
  )

  it(
    'created leaves none half done; repeated, all requests are answered as ready',
    async () => {
      const kills = chooseKills(random, CREATION_KILLS)
      const reference = await Newcomers.reference(world)
      for (let round = 1; kills.length > 0; round++) {
        const newcomers = new Newcomers(world, tally, `new${round}`, DATABASES)
        await hitSome(kills, AGAIN.creation, (kind) => newcomers.registerAndKill(kind, reference))
        await during(`Round ${round}`, () => newcomers.complete(reference))
        await newcomers.drop()
      }
      await expectNothingLeft(world)
    },
    timeLimit(CREATION_KILLS),
  )
})

describe('what a kill leaves that comes at the worst moment', () => {
  const register = async (platform: string, version = 1) => {
    const archive = await pack(filesOf(version))
    return world.gateway.register(platform, archive, 'tenant').reply
  }
  const ready = { status: 200, body: { status: 'ready' } }

  it('an empty database that is in no catalog: /register takes it', async () => {
    await world.postgres.query('create database empty_tenant')
    expect(await register('empty')).toMatchObject(ready)
  })

  it('an empty database that is in no catalog: /admin/create-tenant takes it', async () => {
    await world.postgres.query('create database bare_tenant')
    const { reply } = world.gateway.createTenant('bare', 'tenant')
    expect(await reply).toMatchObject({ status: 201, body: { database: 'bare_tenant' } })
    expect(await register('bare')).toMatchObject(ready)
  })

  it('a database whose drop was cut in the middle: /register makes it anew', async () => {
    await world.postgres.query('create database cut_tenant')
    await world.postgres.queryAsSuperuser(
      `update pg_database set datconnlimit = -2 where datname = 'cut_tenant'`,
    )
    expect(await register('cut')).toMatchObject(ready)
  })

  it('a deploy that the catalog was not told of: the repeated request tells it', async () => {
    const isPending = async () => {
      const overview = await world.gateway.get('/admin/databases?platform=untold')
      return overview?.body.databases[0].pending
    }
    const old = (await register('untold', 1))?.body.checksum
    await register('untold', 2)
    await world.postgres.query(`
      update _db_gateway_databases set schema_checksum = '${old}' where platform = 'untold'
    `)
    expect(await isPending()).toBe(true)
    expect(await register('untold', 2)).toMatchObject(ready)
    expect(await isPending()).toBe(false)
  })
})
