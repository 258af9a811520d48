import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { endServer, findServersOf, isServerOf, mayBeSignalled } from './processes.ts'

/**
 * Ends what a killed gateway left running on its cluster: a server does not end with its gateway,
 * and only one may run on a cluster. To be called by the one gateway that has the data folder.
 *
 * @throws if a process cannot be ended.
 */
export async function endOrphans(
  cluster: string,
  onProgress?: (line: string) => void,
): Promise<void> {
  const pid = readServerPid(cluster)
  if (pid && isServerOf(pid, cluster)) {
    onProgress?.(`Stopping the PostgreSQL server that a killed gateway left (pid ${pid}) …`)
    await endServer(pid, () => !isServerOf(pid, cluster))
  }
  // Those of a killed server: they notice, but not in the middle of a long computation.
  for (const left of findServersOf(cluster)) {
    await endServer(left, () => !isServerOf(left, cluster))
  }
  await removeMistakable(cluster)
}

// PostgreSQL deals with a file of a server that is gone, but not if its pid is taken: it takes a
// zombie, or another process of its user, for that server and refuses to start. Both are common in
// containers, where nothing may collect zombies and each start counts pids from 1.
async function removeMistakable(cluster: string): Promise<void> {
  const pid = readServerPid(cluster)
  if (!pid || !mayBeSignalled(pid) || isServerOf(pid, cluster)) return
  await rm(pidFile(cluster), { force: true })
}

function readServerPid(cluster: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(pidFile(cluster), 'utf8'), 10)
    return pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}

// https://www.postgresql.org/docs/18/storage-file-layout.html
function pidFile(cluster: string): string {
  return join(cluster, 'postmaster.pid')
}
