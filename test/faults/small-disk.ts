import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

export const SMALL_DISK_BYTES = 4 * 1024 * 1024

export function smallDiskOf(folder: string): string {
  return join(folder, 'small-disk')
}

/**
 * Mounts a disk of 4 MiB, in memory, which is there until the run ends.
 * @returns why there is none: only root may, and not in every container
 */
export function mountSmallDisk(folder: string): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may mount a small disk'
  const disk = smallDiskOf(folder)
  mkdirSync(disk)
  try {
    const options = `size=${SMALL_DISK_BYTES}`
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `a small disk cannot be mounted here: ${(error as Error).message}`
  }
}

/** Undoes it; the processes that have files there have ended. */
export function unmountSmallDisk(folder: string): void {
  const disk = smallDiskOf(folder)
  if (!existsSync(disk)) return
  try {
    execFileSync('umount', [disk], { stdio: 'pipe' })
  } catch {
    // It was not mounted.
  }
}
