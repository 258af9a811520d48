import { mkdir } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Json } from '../../helpers/gateway.ts'
import { eventually } from '../../helpers/process.ts'
import { Etcd } from './etcd.ts'
import { PatroniNode } from './node.ts'

/** What Patroni may take for a bootstrap, or for a node to come back. */
const PATIENCE_MS = 90_000

const GATEWAY = { user: 'gateway', password: 'gateway-of-the-test', database: 'gateway' }

interface Member {
  name: string
  role: string
  state: string
  timeline?: number
}

/** Three nodes of PostgreSQL under Patroni, with one etcd. */
export class PatroniCluster {
  readonly etcd: Etcd
  readonly nodes: PatroniNode[] = []

  static async start(folder: string): Promise<PatroniCluster> {
    await mkdir(folder, { recursive: true })
    const cluster = new PatroniCluster(await Etcd.start(folder))
    for (const number of [1, 2, 3]) {
      cluster.nodes.push(await PatroniNode.start(folder, number, cluster.etcd.port))
      // The first one makes the cluster, which the others copy.
      if (number === 1) await cluster.leader()
    }
    await cluster.whole()
    const { user, password, database } = GATEWAY
    const leader = await cluster.leader()
    await leader.query(`create role ${user} login createdb createrole password '${password}'`)
    await leader.query(`create database ${database} owner ${user}`)
    return cluster
  }

  private constructor(etcd: Etcd) {
    this.etcd = etcd
  }

  /** What DATABASE_URL takes: all hosts, of which the gateway finds the primary, or others. */
  url(applicationName: string, hosts = this.nodes.map(({ host }) => host).join(',')): string {
    const { user, password, database } = GATEWAY
    return `postgres://${user}:${password}@${hosts}/${database}?application_name=${applicationName}&sslmode=disable`
  }

  /** Waits until Patroni has a leader that runs, and returns it. */
  async leader(except?: PatroniNode): Promise<PatroniNode> {
    return eventually(
      'Patroni has a leader',
      async () => {
        for (const node of this.nodes) {
          if (node !== except && (await isPrimary(node))) return node
        }
        return sleep(100, undefined)
      },
      PATIENCE_MS,
    )
  }

  /** Waits until all nodes run on one timeline: one leads, and one of the others is synchronous. */
  async whole(): Promise<void> {
    let seen: Member[] = []
    const look = async () => {
      seen = await this.members()
      const isRunning = seen.every(({ state }) => state === 'running' || state === 'streaming')
      const timelines = new Set(seen.map(({ timeline }) => timeline))
      const roles = seen.map(({ role }) => role)
      const isWhole = isRunning && timelines.size === 1 && seen.length === this.nodes.length
      if (isWhole && roles.includes('leader') && roles.includes('sync_standby')) return true
      return sleep(200, false)
    }
    await eventually('all nodes are there', look, PATIENCE_MS).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(seen)}`)
    })
  }

  async members(): Promise<Member[]> {
    for (const node of this.nodes) {
      const body = await askRest(`${node.restUrl}/cluster`)
      if (body?.members) return body.members
    }
    return []
  }

  /** Asks Patroni for a switchover, and resolves when it has begun or is over. */
  async switchover(from: PatroniNode, to: PatroniNode): Promise<void> {
    const response = await fetch(`${from.restUrl}/switchover`, {
      method: 'POST',
      body: JSON.stringify({ leader: from.name, candidate: to.name }),
    })
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
  }

  /** The standby that Patroni has made synchronous. */
  async synchronous(): Promise<PatroniNode> {
    const members = await this.members()
    const name = members.find(({ role }) => role === 'sync_standby')?.name
    return this.nodes.find((node) => node.name === name)!
  }

  /** Asks the primary, whichever it is. */
  async query(text: string, database?: string): Promise<Json[]> {
    return (await this.leader()).query(text, database)
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
    await this.etcd.kill()
  }
}

/** As a load balancer asks it: 200 from the node that has the leader key. */
async function isPrimary(node: PatroniNode): Promise<boolean> {
  const response = await fetch(`${node.restUrl}/primary`, {
    signal: AbortSignal.timeout(1000),
  }).catch(() => undefined)
  await response?.body?.cancel()
  return response?.ok === true
}

async function askRest(url: string): Promise<Json | undefined> {
  return fetch(url, { signal: AbortSignal.timeout(1000) }).then(
    (response) => response.json(),
    () => undefined,
  )
}
