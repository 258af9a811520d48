import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { endServer, findServersOf, isServerOf, mayBeSignalled } from './processes.ts'

/**
 * Ends the server processes that a killed gateway has left running on its cluster. They outlive the
 * gateway, and a cluster takes only one server. The caller must own the data folder.
 * @throws {Error} if a process cannot be ended
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
  // Backends of a killed postmaster end by themselves, but not in the middle of a long computation.
  for (const left of findServersOf(cluster)) {
    await endServer(left, () => !isServerOf(left, cluster))
  }
  await removeMistakable(cluster)
}

// PostgreSQL removes a postmaster.pid whose process is gone. If the pid is that of a zombie, or of
// another process of the same user, PostgreSQL takes it for the old server and refuses to start.
// Both are common in containers: zombies may never be reaped, and each start counts pids from 1.
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
