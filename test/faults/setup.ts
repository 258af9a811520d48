import { appendFileSync, readFileSync, rmSync } from 'node:fs'
import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type {} from 'vitest'
import type { TestProject } from 'vitest/node'
import { findServersOf, processStart, sendSignal } from '../../lib/postgres/embedded/processes.ts'
import { unmountSmallDisk } from './small-disk.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The one folder that the fault tests write to. */
    faultsFolder: string
  }
}

const PATIENCE_MS = 10_000

/**
 * Provides the folder. However the run ends, by an interrupt too, the processes that work in it are
 * ended and it is removed: the tests themselves may have no time for that.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'db-gateway-faults-')))
  // PostgreSQL runs as another user where the tests run as root.
  await chmod(folder, 0o755)
  project.provide('faultsFolder', folder)
  const removal = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }
  const onExit = () => {
    endProcesses(folder)
    unmountSmallDisk(folder)
    rmSync(folder, removal)
  }
  process.once('exit', onExit)
  return async () => {
    endProcesses(folder)
    unmountSmallDisk(folder)
    await rm(folder, removal)
    process.off('exit', onExit)
  }
}

/** Where the data of the PostgreSQL under test is. */
export function dataDirOf(folder: string): string {
  return join(folder, 'data')
}

/** Writes down a process that must not outlive the run. */
export function registerProcess(folder: string, pid: number): void {
  appendFileSync(listOf(folder), `${pid} ${processStart(pid)}\n`)
}

/** Writes down a cluster of PostgreSQL that another program starts and stops. */
export function registerCluster(folder: string, cluster: string): void {
  appendFileSync(clustersOf(folder), `${cluster}\n`)
}

function listOf(folder: string): string {
  return join(folder, 'processes')
}

function clustersOf(folder: string): string {
  return join(folder, 'clusters')
}

/** Ends the processes in the order in which they were started, so that none starts another. */
function endProcesses(folder: string): void {
  const clusters = [join(dataDirOf(folder), 'postgres/data'), ...readLines(clustersOf(folder))]
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const pids = [...registeredProcesses(folder), ...clusters.flatMap(findServersOf)]
    if (pids.length === 0 || performance.now() > deadline) return
    for (const pid of pids) sendSignal(pid, 'SIGKILL')
    pause(20)
  }
}

/** Those that still run. */
function registeredProcesses(folder: string): number[] {
  return readLines(listOf(folder)).flatMap((line) => {
    const [pid, start] = [Number.parseInt(line, 10), line.replace(/^\d+ /, '')]
    return processStart(pid) === start ? [pid] : []
  })
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').trim().split('\n')
  } catch {
    return []
  }
}

/** A process that exits cannot wait for a timer. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
