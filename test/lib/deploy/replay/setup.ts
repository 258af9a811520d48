import { expect } from 'vitest'
import { type Json, type TestGateway, uniqueName } from '../../../helpers/gateway.ts'
import { type Files, pack } from '../../../helpers/platforms.ts'

/** Registers a platform: its main database and those of tenants have the files. */
export async function newPlatform(
  gateway: TestGateway,
  tenants: string[],
  files: Files,
): Promise<string> {
  const platform = uniqueName('re')
  const archive = await pack(files)
  for (const tenant of [undefined, ...tenants]) {
    const { body } = await gateway.register(platform, archive, tenant)
    expect(body).toMatchObject({ status: 'ready' })
  }
  return platform
}

/** Sends a release to all databases. Returns the answer, and whose deploys were replays. */
export async function migrateFleet(
  gateway: TestGateway,
  platform: string,
  files: Files,
): Promise<{ body: Json; statuses: string[]; replayed: string[] }> {
  gateway.logged.length = 0
  const { body } = await gateway.migrate(platform, await pack(files), undefined, {
    on_error: 'continue',
  })
  const statuses = body.results.map(({ status }: Json) => status)
  return { body, statuses, replayed: replayedIn(gateway, platform) }
}

/** The tenants whose deploys were replays, by what is in the log. */
export function replayedIn({ logged }: TestGateway, platform: string): string[] {
  return logged
    .filter((line) => line.replayed)
    .map(({ database }) => database.replace(`${platform}_`, ''))
    .sort()
}
