import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A way to a server of this machine, by TCP, that can go dead as behind a firewall which drops packets. */
export interface DeadRoute {
  /** Port on 127.0.0.1. */
  port: number
  /** From now on open connections carry no byte, and a new one gets no answer to its SYN. */
  die(): Promise<void>
  heal(): void
  stop(): void
}

/**
 * The proxy. Linux answers no SYN of a socket whose queue of connections is full: it is long enough for calls that
 * connect at once, so that only a route that is dead drops one.
 */
const PROXY = `
const { connect, createServer } = require('node:net')
const server = createServer((client) => {
  const target = connect(process.argv[1])
  client.pipe(target).pipe(client)
  for (const [one, other] of [[client, target], [target, client]])
    one.on('error', () => {}).on('close', () => other.destroy())
})
server.listen({ host: '127.0.0.1', port: 0, backlog: 64 }, () => console.log(server.address().port))
`

/** Starts a proxy before a Unix-domain socket, in a process of its own, which is frozen when the route dies. */
export async function startDeadRoute(socketPath: string): Promise<DeadRoute> {
  const child = spawn(process.execPath, ['-e', PROXY, socketPath])
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const [line] = await once(child.stdout, 'data')
  const port = Number(String(line))
  const waiting: Socket[] = []
  const isConnected = () => {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    waiting.push(socket)
    return Promise.race([once(socket, 'connect').then(() => true), sleep(200, false)])
  }
  const heal = () => {
    for (const socket of waiting.splice(0)) socket.destroy()
    child.kill('SIGCONT')
  }
  return {
    port,
    heal,
    async die() {
      child.kill('SIGSTOP')
      while (await isConnected());
    },
    stop() {
      heal()
      process.off('exit', kill)
      kill()
    },
  }
}
