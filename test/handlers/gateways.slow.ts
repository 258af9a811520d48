import { expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { capacityBecomes } from '../helpers/capacity.ts'
import { createAdminDatabase, dropAdminDatabase, startTestGateway } from '../helpers/gateway.ts'
import { startProcess } from '../helpers/process.ts'

const CAP = 20

test('a gateway that says nothing any more gives its share back within 30 s, and has one again when it comes back', async () => {
  const url = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(url))
  const settings = {
    DATABASE_URL: url,
    MAX_TOTAL_CONNECTIONS: `${CAP}`,
    MAX_CONNECTIONS_PER_POOL: `${CAP}`,
  }
  const gateway = await startTestGateway(settings)
  afterTest(() => gateway.stop())
  const other = await startProcess(settings)
  await other.url()
  await capacityBecomes(gateway, CAP / 2)

  other.kill('SIGSTOP')
  afterTest(() => other.kill('SIGCONT'))
  const stoppedAt = performance.now()
  await capacityBecomes(gateway, CAP, 45_000)
  expect(performance.now() - stoppedAt).toBeLessThan(30_000)

  other.kill('SIGCONT')
  await capacityBecomes(gateway, CAP / 2)
  const { permits } = (await other.get('/admin/pools')).body
  expect(permits.capacity).toBe(CAP / 2)
}, 90_000)
