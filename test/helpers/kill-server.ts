import { readFileSync } from 'node:fs'

/** Ends all processes of a server with SIGKILL. */
export function killServer(pid: number): void {
  // So that it starts no more children.
  process.kill(pid, 'SIGSTOP')
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
  for (const one of [pid, ...children.trim().split(' ').map(Number)]) process.kill(one, 'SIGKILL')
}
