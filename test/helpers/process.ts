import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { afterTest } from './after-test.ts'
import { type Answer, type Json, PROJECT, schemaForm, TEST_SECRET } from './gateway.ts'
import { type Files, pack } from './platforms.ts'

/** A running program, and its output so far. */
export interface Program {
  pid: number
  kill(signal: NodeJS.Signals): void
  /** Resolves when the program has exited and its output is complete. */
  exit: Promise<Exit>
  /** Returns the output on stdout and stderr so far. */
  output(): string
  /** Returns the complete lines of the output. */
  lines(): string[]
  /**
   * Resolves with the first line that contains the text, once there is one; rejects if the program
   * ends first.
   */
  line(text: string): Promise<string>
  /** Writes to the program's stdin. */
  type(text: string): void
}

/** A gateway in its own process. */
export interface GatewayProcess extends Program {
  /** Returns the entries of its log; throws if a line is not JSON. */
  entries(): Json[]
  /** Resolves with the URL once the gateway listens. */
  url(): Promise<string>
  get(path: string): Promise<Answer>
  post(path: string, body: unknown): Promise<Answer>
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
  /** Runs the program in its own process group; signals go to the whole group. */
  group?: boolean
  /** File descriptor that the program gets as its descriptor 3. */
  passed?: number | undefined
}

const PATIENCE_MS = 30_000

const BUILT = process.env.TEST_BUILD

/**
 * Arguments of `node` that start the gateway from any working folder: the compiled one, where the run
 * has compiled it, or as `npm start` does.
 */
export const GATEWAY_ARGUMENTS = BUILT
  ? [join(BUILT, 'server.js')]
  : [
      '--import',
      pathToFileURL(join(PROJECT, 'scripts/typescript.mjs')).href,
      join(PROJECT, 'server.ts'),
    ]

/** sd_listen_fds(3): LISTEN_PID must be the id of the process that takes the socket. */
const ACTIVATED = 'LISTEN_PID=$$ exec "$0" "$@"'

/**
 * Creates an empty folder, which is deleted after the test. A command line that was ended in this process may
 * still be writing its last file, so that the folder is not empty at the first attempt.
 */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-test-'))
  afterTest(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/** Creates a folder with these files, which is deleted after the test. */
export async function folderWith(files: Record<string, string | Buffer>): Promise<string> {
  const folder = await temporaryFolder()
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  return folder
}

/** Returns a free port of 127.0.0.1. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Starts a program, which is stopped after the test. */
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
 * Starts the gateway in its own process with these settings only. It uses a free port unless one is
 * set, and an empty working folder unless one is given, so that it does not read the project's
 * .env.
 * @param socket listening socket of this process, passed as systemd passes one
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
  const url = () => urlOf(program)
  return {
    ...program,
    entries: () => program.lines().map((line) => JSON.parse(line)),
    url,
    get: async (path) => request(await url(), path),
    post: async (path, body) => post(await url(), path, body),
    call: async (platform, name, params) => call(await url(), platform, name, params),
    register: async (platform, files) => register(await url(), platform, files),
  }
}

/** Resolves with the URL of a gateway once it listens. */
export async function urlOf(program: Program): Promise<string> {
  const { message } = JSON.parse(await program.line('Listening on '))
  return message.replace('Listening on ', '')
}

/** Calls a function through the gateway at `url`. */
export function call(url: string, platform: string, name: string, params?: unknown) {
  return post(url, '/call', { platform, function: name, params })
}

/** Registers a platform with these files at the gateway at `url`. */
export async function register(url: string, platform: string, files: Files) {
  return request(url, '/register', {
    method: 'POST',
    body: schemaForm(platform, await pack(files)),
  })
}

function post(url: string, path: string, body: unknown): Promise<Answer> {
  return request(url, path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

async function request(url: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url + path, init)
  const { status, headers } = response
  return { status, headers, body: await response.json() }
}

/**
 * Returns the environment for a gateway: the variables of the tests that it needs, and its
 * settings.
 */
export function gatewayEnvironment(settings: Record<string, string>): Record<string, string> {
  const { PATH = '', HOME = '', TMPDIR = tmpdir() } = process.env
  // The data folder of an embedded PostgreSQL has its own secret.
  const secret: Record<string, string> = settings.DATABASE_URL
    ? { GATEWAY_SECRET: TEST_SECRET }
    : {}
  return { PATH, HOME, TMPDIR, GATEWAY_PORT: '0', ...secret, ...settings }
}

/** Calls `attempt` until its result is neither false nor undefined, and returns the result. */
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

/**
 * Sends two signals, which end a gateway at once together with its embedded PostgreSQL; SIGKILL
 * would leave PostgreSQL running.
 */
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

/** Waits until the condition is true. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await eventually('it has come to pass', condition)
}
