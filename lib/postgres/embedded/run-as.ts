import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** The user that PostgreSQL runs as where the gateway runs as root, which PostgreSQL refuses. */
export interface ServerUser {
  name: string
  uid: number
  gid: number
  /** The first folder on the way to PostgreSQL's files that the user may not pass through. */
  closed?: string
}

/** A started program; whoever starts it reads both of its outputs. */
export type Program = ChildProcessByStdio<Writable, Readable, Readable>

/**
 * The user to run PostgreSQL as: undefined for the gateway's own, the owner of the files at `home`
 * if there are any yet, else `postgres` or `nobody`.
 *
 * @throws if the gateway runs as root and has no such user.
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

/** The first of the folders and of those on the way to them that the user may not pass through. */
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

/** Starts a program as the user (the gateway's own if undefined) with nothing of its environment. */
export function startAs(
  user: ServerUser | undefined,
  file: string,
  args: string[],
  detached = false,
): Program {
  const options = {
    // The gateway's own working folder may be closed to the user.
    cwd: '/',
    // In English, since messages are recognized, and without the PG… variables of a client.
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    detached,
  }
  if (!user?.closed) {
    return spawn(file, args, { ...options, uid: user?.uid, gid: user?.gid })
  }
  // A clone in /root is a private folder that no other user passes through. Rather than opening it
  // to everybody, PostgreSQL gets the one privilege of root that lets it pass (and read, but not
  // write): only its superuser could make use of that, and the gateway's role is none.
  const capability = '+dac_read_search'
  return spawn(
    'setpriv',
    [
      ...['--reuid', `${user.uid}`, '--regid', `${user.gid}`, '--clear-groups'],
      ...['--inh-caps', capability, '--ambient-caps', capability],
      // Without this access(2), by which PostgreSQL's programs find each other, denies what they
      // are able to read: it leaves out the capabilities of a user who is not root.
      ...['--securebits', '+no_setuid_fixup', '--', file, ...args],
    ],
    options,
  )
}

/** Calls the listener with each line that a program writes. */
export function onLines(program: Program, listener: (line: string) => void): void {
  createInterface({ input: program.stdout }).on('line', listener)
  createInterface({ input: program.stderr }).on('line', listener)
}

/**
 * Runs a program to its end and returns what it wrote.
 *
 * @throws an error with the line that says why, if it could not be started or failed.
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
  // A program that ends before it has read everything says why itself.
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

/** Of two lines of a PostgreSQL program the one that says why it failed: the later, if an error. */
export function moreTelling(earlier: string, later: string): string {
  return FAILURE.test(later) || (!FAILURE.test(earlier) && later.trim()) ? later : earlier
}
