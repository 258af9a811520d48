import type { ChildProcess } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually, freePort } from '../../helpers/process.ts'
import { registerProcess } from '../setup.ts'
import { ended, startLogged } from './programs.ts'

/** The etcd that Patroni keeps its leader key in; it comes back at the same address. */
export class Etcd {
  readonly #folder: string
  readonly #data: string
  readonly port: number
  readonly #peerPort: number
  #running: ChildProcess | undefined

  static async start(folder: string): Promise<Etcd> {
    const etcd = new Etcd(folder, await freePort(), await freePort())
    await mkdir(etcd.#data, { mode: 0o700 })
    await etcd.start()
    return etcd
  }

  private constructor(folder: string, port: number, peerPort: number) {
    this.#folder = folder
    this.#data = join(folder, 'etcd')
    this.port = port
    this.#peerPort = peerPort
  }

  async start(): Promise<void> {
    const [url, peer] = [`http://127.0.0.1:${this.port}`, `http://127.0.0.1:${this.#peerPort}`]
    const options = {
      name: 'etcd',
      'data-dir': this.#data,
      'listen-client-urls': url,
      'advertise-client-urls': url,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': `etcd=${peer}`,
    }
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
    this.#running = startLogged('etcd', args, join(this.#folder, 'etcd.log'), undefined)
    registerProcess(this.#folder, this.#running.pid!)
    await eventually('etcd answers', () =>
      fetch(`${url}/health`).then(
        ({ ok }) => ok,
        () => false,
      ),
    )
  }

  async kill(): Promise<void> {
    this.#running!.kill('SIGKILL')
    await ended(this.#running!)
  }
}
