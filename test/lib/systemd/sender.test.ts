import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { createLog } from '../../../lib/log.ts'
import { findServiceManager } from '../../../lib/systemd/service-manager.ts'
import { eventually } from '../../helpers/process.ts'
import { notifySocket } from '../../helpers/systemd.ts'

/** Returns the processes that tell the service manager at this socket. */
async function senders(socket: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')
      const isSender =
        (await read('environ')).includes(`NOTIFY_SOCKET=${socket}`) &&
        (await read('comm')).trim() === 'sh'
      return isSender ? [Number(pid)] : []
    }),
  )
  return found.flat()
}

test('signals to the whole service leave the sender, and one that is killed is started again', async () => {
  const { path, messages } = await notifySocket()
  const lines: string[] = []
  const log = createLog('info', { write: (text: string) => lines.push(text) })
  const { PATH } = process.env
  const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '400000', PATH }
  const manager = findServiceManager(env, process.pid, log)!
  manager.ready(() => 'fine')
  const count = (name: string) => messages().filter((one) => name in one).length
  await eventually('WATCHDOG=1', () => count('WATCHDOG') > 0)
  const [sender] = await senders(path)
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.kill(sender!, signal)
  const before = count('WATCHDOG')
  await eventually('more beats', () => count('WATCHDOG') > before + 1)
  expect(await senders(path)).toContain(sender)
  expect(lines).toEqual([])

  process.kill(sender!, 'SIGKILL')
  await eventually('it is told', () => lines.join('').includes('has ended (SIGKILL)'))
  manager.reloading()
  manager.reloaded()
  await eventually('READY=1 after the reload', () => {
    const told = messages()
    const at = told.findIndex((one) => 'RELOADING' in one)
    return at >= 0 && told.slice(at).some((one) => 'READY' in one)
  })
  manager.stopping()
  await eventually('STOPPING=1', () => count('STOPPING') === 1)
})
