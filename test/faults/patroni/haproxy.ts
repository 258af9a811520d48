import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PROJECT } from '../../helpers/gateway.ts'
import { freePort } from '../../helpers/process.ts'
import { registerProcess } from '../setup.ts'
import type { PatroniNode } from './node.ts'
import { ended, startLogged } from './programs.ts'

/** HAProxy with deploy/haproxy-patroni.cfg before the nodes; only the addresses and the log differ. */
export class PrimaryProxy {
  readonly host: string
  readonly #child: ChildProcess

  static async start(folder: string, nodes: PatroniNode[]): Promise<PrimaryProxy> {
    const host = `127.0.0.1:${await freePort()}`
    let text = readFileSync(join(PROJECT, 'deploy/haproxy-patroni.cfg'), 'utf8')
    const change = (from: string, to: string) => {
      if (!text.includes(from)) throw new Error(`deploy/haproxy-patroni.cfg has no "${from}"`)
      text = text.replace(from, to)
    }
    change('log /dev/log local0', 'log stdout format raw local0')
    change('bind 127.0.0.1:5432', `bind ${host}`)
    for (const [i, node] of nodes.entries()) {
      const { port } = new URL(node.restUrl)
      change(`10.0.0.1${i + 1}:5432 check port 8008`, `${node.host} check port ${port}`)
    }
    const file = join(folder, 'haproxy-patroni.cfg')
    await writeFile(file, text)
    const log = join(folder, 'haproxy-patroni.log')
    const child = startLogged('haproxy', ['-db', '-f', file], log, undefined)
    registerProcess(folder, child.pid!)
    return new PrimaryProxy(host, child)
  }

  private constructor(host: string, child: ChildProcess) {
    this.host = host
    this.#child = child
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL')
    await ended(this.#child)
  }
}
