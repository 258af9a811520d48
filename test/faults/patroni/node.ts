import type { ChildProcess } from 'node:child_process'
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { findServersOf, sendSignal } from '../../../lib/postgres/embedded/processes.ts'
import { chooseServerUser } from '../../../lib/postgres/embedded/run-as.ts'
import { FaultProxy } from '../../helpers/fault-proxy.ts'
import type { Json } from '../../helpers/gateway.ts'
import { freePort } from '../../helpers/process.ts'
import { registerCluster, registerProcess } from '../setup.ts'
import { configOf, SUPERUSER } from './config.ts'
import { ended, postgresFolder, startLogged } from './programs.ts'

interface Proxies {
  postgres: FaultProxy
  rest: FaultProxy
  etcd: FaultProxy
}

/** A machine with Patroni and PostgreSQL: others reach it, and it reaches etcd, by proxies. */
export class PatroniNode {
  readonly name: string
  readonly #folder: string
  readonly #home: string
  readonly #port: number
  readonly #address: string
  readonly #proxies: Proxies
  #patroni: ChildProcess | undefined

  static async start(folder: string, number: number, etcdPort: number): Promise<PatroniNode> {
    const name = `node${number}`
    const home = join(folder, name)
    const address = `127.0.0.${10 + number}`
    const [port, restPort] = [await freePort(), await freePort()]
    const proxies = {
      postgres: await FaultProxy.start({ host: address, port }),
      rest: await FaultProxy.start({ host: address, port: restPort }),
      etcd: await FaultProxy.start({ host: '127.0.0.1', port: etcdPort }),
    }
    const addresses = {
      postgres: { listen: `${address}:${port}`, connect: `127.0.0.1:${proxies.postgres.port}` },
      rest: { listen: `${address}:${restPort}`, connect: `127.0.0.1:${proxies.rest.port}` },
      etcd: `127.0.0.1:${proxies.etcd.port}`,
    }
    await mkdir(home, { mode: 0o755 })
    const config = configOf(name, addresses, postgresFolder()!, home)
    await writeFile(join(home, 'patroni.yml'), JSON.stringify(config))
    const user = await chooseServerUser('/')
    if (user) await chown(home, user.uid, user.gid)
    const node = new PatroniNode(folder, name, home, address, port, proxies)
    registerCluster(folder, node.#cluster)
    await node.startPatroni()
    return node
  }

  private constructor(
    folder: string,
    name: string,
    home: string,
    address: string,
    port: number,
    proxies: Proxies,
  ) {
    this.#folder = folder
    this.name = name
    this.#home = home
    this.#address = address
    this.#port = port
    this.#proxies = proxies
  }

  /** Where the gateway and the other nodes reach its PostgreSQL. */
  get host(): string {
    return `127.0.0.1:${this.#proxies.postgres.port}`
  }

  get restUrl(): string {
    return `http://127.0.0.1:${this.#proxies.rest.port}`
  }

  async startPatroni(): Promise<void> {
    const log = join(this.#folder, `${this.name}.log`)
    const user = await chooseServerUser('/')
    this.#patroni = startLogged('patroni', [join(this.#home, 'patroni.yml')], log, user)
    registerProcess(this.#folder, this.#patroni.pid!)
  }

  async killPatroni(): Promise<void> {
    this.#patroni!.kill('SIGKILL')
    await ended(this.#patroni!)
  }

  /** Sends a signal to all processes of PostgreSQL. */
  signalPostgres(signal: NodeJS.Signals): void {
    for (const pid of findServersOf(this.#cluster)) sendSignal(pid, signal)
  }

  /** Stops all processes of the node in the middle of what they do, or lets them go on. */
  signalAll(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#patroni!.kill(signal)
    this.signalPostgres(signal)
  }

  /** Cuts the node off from etcd, the other nodes and the gateway, without a word; or heals that. */
  isolate(isCutOff: boolean): void {
    for (const proxy of Object.values(this.#proxies)) {
      if (isCutOff) proxy.blackHole()
      else proxy.heal()
    }
  }

  /** Cuts only the gateway and the standbys off. */
  get network(): FaultProxy {
    return this.#proxies.postgres
  }

  /** A connection as the superuser, past the proxy. */
  connect(database = 'postgres'): postgres.Sql {
    const { username: user, password } = SUPERUSER
    const address = { host: this.#address, port: this.#port, user, password, database }
    return postgres({ ...address, max: 1, connect_timeout: 2, onnotice: () => {} })
  }

  async query(text: string, database?: string): Promise<Json[]> {
    const sql = this.connect(database)
    try {
      return await sql.unsafe(text)
    } finally {
      await sql.end({ timeout: 1 })
    }
  }

  async stop(): Promise<void> {
    this.signalAll('SIGCONT')
    await this.killPatroni()
    this.signalPostgres('SIGKILL')
    for (const proxy of Object.values(this.#proxies)) await proxy.stop()
  }

  get #cluster(): string {
    return join(this.#home, 'data')
  }
}
