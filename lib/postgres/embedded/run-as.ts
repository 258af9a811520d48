import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** The user that PostgreSQL runs as if the gateway runs as root: PostgreSQL refuses root. */
export interface ServerUser {
  name: string
  uid: number
  gid: number
  /** First folder on the path to PostgreSQL's files that the user may not enter. */
  closed?: string
}

/** A started program. The caller must read both of its outputs, or the program blocks. */
export type Program = ChildProcessByStdio<Writable, Readable, Readable>

/**
 * Chooses the user to run PostgreSQL as if the gateway runs as root: the owner of `home` if that
 * exists and is not root's, else `postgres`, else `nobody`.
 * @returns undefined if the gateway does not run as root
 * @throws {Error} if there is no such user
 */
export async function chooseServerUser(home: string): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const accounts = await readAccounts()
  const owner = await stat(home).catch(() => undefined)
  if (owner && owner.uid !== 0) {
    const name = accounts.find((account) => account.uid === owner.uid)?.name ?? `${owner.uid}`
    return { name, uid: owner.uid, gid: owner.gid }
  }
  for (const name of ['postgres', '_postgres', 'nobody']) {
    const account = accounts.find((candidate) => candidate.name === name)
    if (account) return account
  }
  throw new Error(
    'PostgreSQL does not run as root and there is no user postgres or nobody: ' +
      'run the gateway as another user, or set DATABASE_URL',
  )
}

async function readAccounts(): Promise<ServerUser[]> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '')
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length > 3)
    .map(([name, , uid, gid]) => ({ name: `${name}`, uid: Number(uid), gid: Number(gid) }))
}

/** Returns the first of these folders, or of their ancestors, that the user may not enter. */
export async function findClosedFolder(
  user: ServerUser,
  folders: string[],
): Promise<string | undefined> {
  for (const folder of folders) {
    for (const step of stepsTo(await realpath(folder))) {
      if (!(await mayPass(user, step))) return step
    }
  }
  return undefined
}

function stepsTo(folder: string): string[] {
  const parent = dirname(folder)
  return parent === folder ? [folder] : [...stepsTo(parent), folder]
}

async function mayPass(user: ServerUser, folder: string): Promise<boolean> {
  const { mode, uid, gid } = await stat(folder)
  const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001
  return (mode & bit) !== 0
}

/** Starts a program as the user (undefined: the gateway's own) with a clean environment. */
export function startAs(
  user: ServerUser | undefined,
  file: string,
  args: string[],
  detached = false,
): Program {
  const options = {
    // The user may not be allowed into the gateway's working folder.
    cwd: '/',
    // English messages, which the gateway parses, and none of a client's PG… variables.
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    detached,
  }
  if (!user?.closed) {
    return spawn(file, args, { ...options, uid: user?.uid, gid: user?.gid })
  }
  // A folder in /root is closed to other users. Instead of opening it to all, PostgreSQL gets the
  // one capability that lets it enter and read any folder, but not write. Only its superuser could
  // use that, and the gateway's role is not one.
  const capability = '+dac_read_search'
  return spawn(
    'setpriv',
    [
      ...['--reuid', `${user.uid}`, '--regid', `${user.gid}`, '--clear-groups'],
      ...['--inh-caps', capability, '--ambient-caps', capability],
      // PostgreSQL's programs find each other with access(2), which ignores the capabilities of
      // a user other than root unless no_setuid_fixup is set.
      ...['--securebits', '+no_setuid_fixup', '--', file, ...args],
    ],
    options,
  )
}

/** Calls the listener with each line of the program's stdout and stderr. */
export function onLines(program: Program, listener: (line: string) => void): void {
  createInterface({ input: program.stdout }).on('line', listener)
  createInterface({ input: program.stderr }).on('line', listener)
}

/**
 * Runs a program to its end.
 * @returns its lines of stdout and stderr
 * @throws {Error} with the line that tells why the program failed or could not be started
 */
export async function runAs(
  user: ServerUser | undefined,
  file: string,
  args: string[],
  input = '',
): Promise<string[]> {
  const program = startAs(user, file, args)
  const lines: string[] = []
  onLines(program, (line) => lines.push(line))
  // EPIPE: a program that ends before it has read its input reports the reason in its output.
  program.stdin.on('error', () => undefined)
  program.stdin.end(input)
  const end = () => program.kill()
  process.once('exit', end)
  const code = await new Promise<number | null>((resolve, reject) => {
    program.on('error', reject)
    program.on('close', resolve)
  }).finally(() => process.off('exit', end))
  if (code !== 0) throw new Error(lines.reduce(moreTelling, '') || `it ended with code ${code}`)
  return lines
}

const FAILURE = /(?:ERROR|FATAL|PANIC|error|fatal): /

/** Returns the line that tells more of why a program failed: the later one if it is an error. */
export function moreTelling(earlier: string, later: string): string {
  return FAILURE.test(later) || (!FAILURE.test(earlier) && later.trim()) ? later : earlier
}
