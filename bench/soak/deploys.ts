import { setTimeout as sleep } from 'node:timers/promises'
import { send, type World } from './calls.ts'
import { archiveOf, formOf, PLATFORM } from './platform.ts'
import { serverOf } from './servers.ts'

const MAX_TENANTS = 40
const PAUSE_MS = 1000
const RETRY_MS = 300

/** Registers the first tenants. */
export async function registerFirst(world: World, count: number): Promise<void> {
  const archive = await archiveOf(world.release.deployed)
  for (let i = 0; i < count; i++) await registerNew(world, archive)
}

/**
 * Deploys one thing after the other until the end: most often what is in place already, as
 * containers do that start; new tenants; and a new release for all.
 */
export async function keepDeploying(world: World): Promise<void> {
  const { random, tenants, release } = world
  let archive = await archiveOf(release.deployed)
  for (let turn = 1; !world.signal.aborted; turn++) {
    if (turn % 10 === 0) {
      release.begun++
      archive = await archiveOf(release.begun)
      await untilDone(world, () => migrate(world, archive))
      release.deployed = release.begun
    } else if (turn % 5 === 0 && tenants.length < MAX_TENANTS) {
      await registerNew(world, archive)
    } else {
      const tenant = tenants[random(tenants.length)]!
      await untilDone(world, () => register(world, archive, tenant, 'register, in place'))
    }
    await sleep(PAUSE_MS)
  }
}

/** Every other one is created first, and registered then. */
async function registerNew(world: World, archive: Uint8Array): Promise<void> {
  const { tenants } = world
  const tenant = `t${tenants.length}`
  if (tenants.length % 2 === 1) await untilDone(world, () => createTenant(world, tenant))
  await untilDone(world, () => register(world, archive, tenant, 'register, new'))
  tenants.push(tenant)
}

/** A deploy that met a fault is sent again, even at the end: it has to come through. */
async function untilDone(world: World, attempt: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 60_000
  while (!(await attempt())) {
    await sleep(RETRY_MS)
    if (performance.now() < giveUpAt) continue
    world.tally.complain('A deploy does not come through')
    return
  }
}

/** The member that places a new tenant; none if there is one server. */
function whereOf({ servers }: World, tenant: string): { server?: string } {
  return servers.length > 1 ? { server: serverOf(servers, tenant).name } : {}
}

async function createTenant(world: World, tenant: string): Promise<boolean> {
  const { gatewayUrl, tally } = world
  const init = {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform: PLATFORM, tenant_id: tenant, ...whereOf(world, tenant) }),
  }
  const answer = await tally.request(
    'create-tenant',
    () => send(`${gatewayUrl}/admin/create-tenant`, init),
    // One that met a fault may have been made.
    ({ status }) => (status === 201 || status === 409 ? undefined : 'not created'),
  )
  return answer !== undefined
}

async function register(
  world: World,
  archive: Uint8Array,
  tenant: string,
  kind: string,
): Promise<boolean> {
  const { gatewayUrl, tally } = world
  const { server } = whereOf(world, tenant)
  const answer = await tally.request(
    kind,
    () => send(`${gatewayUrl}/register`, { body: formOf(archive, tenant, server) }),
    ({ status, text }) =>
      status === 200 && text.includes('"status":"ready"') ? undefined : 'not ready',
  )
  return answer !== undefined
}

async function migrate(world: World, archive: Uint8Array): Promise<boolean> {
  const { gatewayUrl, tally, tenants } = world
  const answer = await tally.request(
    'migrate',
    () => send(`${gatewayUrl}/migrate`, { body: formOf(archive) }),
    ({ status, text }) =>
      status === 200 && JSON.parse(text).databases_updated.length >= tenants.length
        ? undefined
        : 'not all',
  )
  return answer !== undefined
}
