import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PROJECT } from './gateway.ts'
import { eventually, freePort, type Program, startProgram, temporaryFolder } from './process.ts'

/** The configuration that deploy/ offers. */
export const HAPROXY_CFG = join(PROJECT, 'deploy/haproxy.cfg')

/**
 * Whether this machine has HAProxy; that it has not is said. `.ci/haproxy` installs it where it can.
 * @throws if it is missing and CI_REQUIRE_HAPROXY is set
 */
export function hasHaproxy(): boolean {
  if (spawnSync('haproxy', ['-v']).status === 0) return true
  if (process.env.CI_REQUIRE_HAPROXY) {
    throw new Error('CI_REQUIRE_HAPROXY is set, and haproxy is not in PATH')
  }
  console.warn(
    'haproxy is not in PATH: tests of deploy/haproxy.cfg are skipped (apt-get install haproxy)',
  )
  return false
}

/** An HAProxy of a test. */
export interface Haproxy {
  url: string
  port: number
  program: Program
  /** Starts a new worker with the same configuration, as `systemctl reload haproxy` does. */
  reload(): Promise<void>
  /** Returns `UP`, `DOWN`, … of the gateways, in their order. */
  states(): Promise<string[]>
  /** Resolves when the gateways have these states. */
  until(...states: string[]): Promise<void>
}

/**
 * Starts HAProxy with deploy/haproxy.cfg in front of the gateways on these ports of 127.0.0.1, until the
 * end of the test. Only addresses, paths and the log, which goes to its output, differ from the file.
 */
export async function startHaproxy(ports: number[]): Promise<Haproxy> {
  const folder = await temporaryFolder()
  const [port, stats] = [await freePort(), await freePort()]
  const file = join(folder, 'haproxy.cfg')
  await writeFile(file, adapt(readFileSync(HAPROXY_CFG, 'utf8'), folder, port, stats, ports))
  const program = startProgram('haproxy', ['-W', '-f', file], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '' },
  })
  const states = async () => {
    const text = await (await fetch(`http://127.0.0.1:${stats}/;csv`)).text()
    const [head = '', ...rows] = text.split('\n')
    const at = head.split(',').indexOf('status')
    return rows
      .map((row) => row.split(','))
      .filter(([proxy, server]) => proxy === 'gateways' && server !== 'BACKEND')
      .map((row) => row[at]!)
  }
  const until = async (...wanted: string[]) => {
    await eventually(`the gateways are ${wanted}`, async () => {
      const found = await states().catch(() => [])
      return `${found}` === `${wanted}`
    })
  }
  const ended = program.exit.then(() => {
    throw new Error(`HAProxy has ended:\n${program.output()}`)
  })
  await Promise.race([until(...ports.map(() => 'UP')), ended])
  ended.catch(() => {})
  const reloads = () => program.output().match(/Loading success/g)?.length ?? 0
  const reload = async () => {
    const before = reloads()
    program.kill('SIGUSR2')
    await eventually('the new worker is there', () => reloads() > before)
  }
  return { url: `http://127.0.0.1:${port}`, port, program, reload, states, until }
}

function adapt(text: string, folder: string, port: number, stats: number, ports: number[]): string {
  const isRoot = process.getuid?.() === 0
  const change = (from: RegExp, to: string) => {
    if (!from.test(text)) throw new Error(`deploy/haproxy.cfg has no ${from}`)
    text = text.replace(from, to)
  }
  change(/log \/dev\/log local0/, 'log stdout format raw local0')
  change(/\/run\/haproxy\/admin\.sock/, join(folder, 'admin.sock'))
  change(/bind :8080/, `bind 127.0.0.1:${port}`)
  change(/bind 127\.0\.0\.1:8404/, `bind 127.0.0.1:${stats}`)
  text = text.replaceAll('db-gateway-once', `db-gateway-once-${port}`)
  if (!isRoot) change(/ {4}user haproxy\n {4}group haproxy\n/, '')
  let i = 0
  text = text.replace(/^( {4}server \w+ +)\S+( check)$/gm, (_, before, after) => {
    const own = ports[i++]
    return own === undefined ? '' : `${before}127.0.0.1:${own}${after}`
  })
  if (i < ports.length) throw new Error(`deploy/haproxy.cfg has only ${i} gateways`)
  return text
}
