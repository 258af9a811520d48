import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import { freePort, type Rig, type Service, startService } from '../rig.ts'

const PEER = join(import.meta.dirname, '../../peer')

/** Installs the packages of bench/peer where that has not been done. */
export async function installPeer(): Promise<void> {
  if (existsSync(join(PEER, 'node_modules'))) return
  console.log('Installing the peer’s packages …')
  await promisify(execFile)('npm', ['ci'], { cwd: PEER })
}

/** Starts bench/peer/server.js on the rig's PostgreSQL. */
export async function startPeer(rig: Rig): Promise<Service> {
  const port = await freePort()
  const server = parseDatabaseUrl(rig.databaseUrl)
  return startService(
    ['--max-semi-space-size=64', join(PEER, 'server.js')],
    {
      PEER_PORT: `${port}`,
      PGHOST: server.host,
      PGPORT: `${server.port}`,
      PGUSER: server.user,
      PGPASSWORD: server.password,
    },
    { folder: rig.folder, port, stopping: rig.stopping },
  )
}
