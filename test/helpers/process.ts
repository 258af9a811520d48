import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { afterEach } from 'vitest'
import { type Answer, type Json, PROJECT, schemaForm, TEST_SECRET } from './gateway.ts'
import { type Files, pack } from './platforms.ts'

/** A program that runs, and what it has written so far. */
export interface Program {
  pid: number
  kill(signal: NodeJS.Signals): void
  /** Settles when the program is gone and has had its last word. */
  exit: Promise<Exit>
  /** Everything on stdout and stderr, as it came. */
  output(): string
  /** The whole lines of it. */
  lines(): string[]
  /** The first line with the text in it, as soon as it is there; fails if the program ends. */
  line(text: string): Promise<string>
  /** Writes to its stdin. */
  type(text: string): void
}

/** A gateway in a process of its own. */
export interface GatewayProcess extends Program {
  /** Its log; fails where a line is not JSON. */
  entries(): Json[]
  /** Where it listens, as soon as it says so. */
  url(): Promise<string>
  get(path: string): Promise<Answer>
  call(platform: string, name: string, params?: unknown): Promise<Answer>
  register(platform: string, files: Files): Promise<Answer>
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

interface ProgramOptions {
  env: Record<string, string>
  cwd: string
  /** In a process group of its own, all of which gets the signals. */
  group?: boolean
  /** A descriptor that it has as its fourth, 3. */
  passed?: number | undefined
}

const PATIENCE_MS = 30_000

/** `node` with these arguments is what `npm start` runs, in whatever folder. */
export const GATEWAY_ARGUMENTS = [
  '--import',
  pathToFileURL(join(PROJECT, 'scripts/typescript.mjs')).href,
  join(PROJECT, 'server.ts'),
]

/** sd_listen_fds(3): the process that is to take the socket is named by its id. */
const ACTIVATED = 'LISTEN_PID=$$ exec "$0" "$@"'

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Undoes something after the test, the last first. */
export function afterTest(cleanup: () => unknown): void {
  cleanups.push(cleanup)
}

/** An empty folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-test-'))
  afterTest(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Starts a program, which is ended after the test. */
export function startProgram(command: string, args: string[], options: ProgramOptions): Program {
  const { cwd, env, group = false, passed } = options
  const child = spawn(command, args, {
    cwd,
    env,
    detached: group,
    stdio: ['pipe', 'pipe', 'pipe', ...(passed === undefined ? [] : [passed])],
  }) as ChildProcessWithoutNullStreams
  const pid = child.pid!
  let output = ''
  let ended = false
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  child.stdin.on('error', () => {})
  const exit = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => {
      ended = true
      resolve({ code, signal })
    })
  })
  const kill = (signal: NodeJS.Signals) => {
    if (!ended) sendSignal(group ? -pid : pid, signal)
  }
  const lines = () => output.split('\n').slice(0, -1)
  afterTest(() => endProgram(kill, exit))

  return {
    pid,
    kill,
    exit,
    output: () => output,
    lines,
    line: (text) =>
      eventually(`a line with "${text}"`, () => {
        const found = lines().find((line) => line.includes(text))
        if (found === undefined && ended) throw new Error(`No "${text}" in all of\n${output}`)
        return found
      }),
    type: (text) => child.stdin.write(text),
  }
}

/**
 * Starts the gateway with these settings and no others, on a free port unless one is set, in an
 * empty working folder unless one is given: no .env of the project is read. `socket` is a listening
 * socket of this process that it is passed as systemd does it.
 */
export async function startProcess(
  settings: Record<string, string>,
  folder?: string,
  socket?: number,
): Promise<GatewayProcess> {
  const cwd = folder ?? (await temporaryFolder())
  const env = gatewayEnvironment(settings)
  const program =
    socket === undefined
      ? startProgram(process.execPath, GATEWAY_ARGUMENTS, { cwd, env })
      : startProgram('sh', ['-c', ACTIVATED, process.execPath, ...GATEWAY_ARGUMENTS], {
          cwd,
          env: { LISTEN_FDS: '1', ...env },
          passed: socket,
        })
  const url = async () => {
    const { message } = JSON.parse(await program.line('Listening on '))
    return message.replace('Listening on ', '')
  }
  return {
    ...program,
    entries: () => program.lines().map((line) => JSON.parse(line)),
    url,
    get: async (path) => request(await url(), path),
    call: async (platform, name, params) => call(await url(), platform, name, params),
    register: async (platform, files) => register(await url(), platform, files),
  }
}

/** Calls a function through the gateway at `url`. */
export function call(url: string, platform: string, name: string, params?: unknown) {
  return request(url, '/call', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform, function: name, params }),
  })
}

/** Registers a platform with these files at the gateway at `url`. */
export async function register(url: string, platform: string, files: Files) {
  return request(url, '/register', {
    method: 'POST',
    body: schemaForm(platform, await pack(files)),
  })
}

async function request(url: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url + path, init)
  const { status, headers } = response
  return { status, headers, body: await response.json() }
}

/** What the gateway needs of the environment of the tests, and its settings. */
export function gatewayEnvironment(settings: Record<string, string>): Record<string, string> {
  const { PATH = '', HOME = '', TMPDIR = tmpdir() } = process.env
  // An embedded PostgreSQL has a secret of its own.
  const secret: Record<string, string> = settings.DATABASE_URL
    ? { GATEWAY_SECRET: TEST_SECRET }
    : {}
  return { PATH, HOME, TMPDIR, GATEWAY_PORT: '0', ...secret, ...settings }
}

/** Calls `attempt` until it gives something that is neither false nor undefined. */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T | false | undefined> | T | false | undefined,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const result = await attempt()
    if (result !== false && result !== undefined) return result
    if (performance.now() > deadline) throw new Error(`Not within ${patienceMs} ms: ${what}`)
    await sleep(30)
  }
}

/** Two signals end a gateway at once, and its PostgreSQL with it; SIGKILL would leave that. */
async function endProgram(kill: Program['kill'], exit: Promise<Exit>): Promise<void> {
  kill('SIGTERM')
  kill('SIGINT')
  const timer = setTimeout(() => kill('SIGKILL'), 10_000)
  await exit
  clearTimeout(timer)
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Waits until it has come to pass. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await eventually('it has come to pass', condition)
}
