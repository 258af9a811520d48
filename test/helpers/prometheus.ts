import { execFile, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Json } from './gateway.ts'
import { eventually, freePort } from './process.ts'

export const run = promisify(execFile)

/**
 * Whether this machine has Prometheus and promtool; that it has not is said. `.ci/prometheus` installs
 * them where it can.
 * @throws if they are missing and CI_REQUIRE_PROMETHEUS is set
 */
export function hasPrometheus(): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const missing = ['prometheus', 'promtool'].filter(
    (name) => !folders.some((folder) => isProgram(join(folder, name))),
  )
  if (missing.length === 0) return true
  const what = `${missing.join(' and ')} not in PATH`
  if (process.env.CI_REQUIRE_PROMETHEUS) {
    throw new Error(`CI_REQUIRE_PROMETHEUS is set, and ${what}`)
  }
  console.warn(`${what}: tests of deploy/prometheus are skipped (apt-get install prometheus)`)
  return false
}

/** A Prometheus of a test. */
export interface Prometheus {
  /** Returns the data of an answer of its API. */
  api(path: string): Promise<Json>
  /** Returns the samples of a query. */
  query(text: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]>
  stop(): Promise<void>
}

/** Starts Prometheus with this configuration (JSON is YAML), and waits until it is ready. */
export async function startPrometheus(config: object): Promise<Prometheus> {
  const folder = await mkdtemp(join(tmpdir(), 'prometheus-'))
  const file = join(folder, 'prometheus.yml')
  await writeFile(file, JSON.stringify(config))
  const address = `127.0.0.1:${await freePort()}`
  const child = spawn('prometheus', [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=${address}`,
  ])
  let said = ''
  child.stderr.on('data', (text) => {
    said += text
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const api = async (path: string) => {
    const body: Json = await (await fetch(`http://${address}/api/v1/${path}`)).json()
    if (body.status !== 'success') throw new Error(JSON.stringify(body))
    return body.data
  }
  const stop = async () => {
    child.kill('SIGKILL')
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await eventually('Prometheus is ready', () => {
      if (child.exitCode !== null) throw new Error(said)
      return fetch(`http://${address}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
    })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    api,
    query: async (text) => (await api(`query?query=${encodeURIComponent(text)}`)).result,
    stop,
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
