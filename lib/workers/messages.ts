import type { Environment } from '../config/setting.ts'
import type { LogFields } from '../log.ts'
import type { Load } from '../systemd/describe-status.ts'

/** Connections to a server that the service may have open, and at most has. */
export interface ShareState {
  share: number
  held: number
}

/** What a worker needs to start, told by the parent. */
export interface Boot {
  type: 'boot'
  /** Id of the service. */
  service: string
  worker: number
  workers: number
  parent: number
  /** Milliseconds since the start of the service. */
  upMs: number
  isLeader: boolean
  isFirst: boolean
  shares: Record<string, ShareState>
  /** Settings of the file that are in force; undefined: there is no file. */
  file: Environment | undefined
  embeddedUrl: string | undefined
  /** Descriptor of the parent's passed socket. */
  socket: number | undefined
  /** Where the parent writes what the worker logs. */
  journal: boolean
  isTerminal: boolean
}

/** Asks a worker for connections to a server that it does not use. */
export interface GiveUp {
  type: 'give'
  name: string
  /** Connections that others want. */
  most: number
  /** Connections that it keeps in any case. */
  least: number
  /** Fair part, down to which it gives up connections in use too; null: none of those. */
  fair: number | null
}

/** What the parent tells a worker. */
export type ToWorker =
  | Boot
  | GiveUp
  | { type: 'add'; name: string; connections: number }
  | { type: 'share'; shares: Record<string, ShareState>; isLeader: boolean }
  | { type: 'ask'; id: number; kind: string }
  | { type: 'answers'; id: number; bodies: unknown[] }
  | { type: 'reload' }
  | { type: 'ping' }
  | { type: 'stop'; isReplaced: boolean }

/** What a worker holds of the connections to a server. */
export interface PartReport {
  type: 'part'
  /** Of what is divided, and of the server whose share that is. */
  name: string
  server: string
  /** Connections that it may have open, and has open. */
  capacity: number
  held: number
  busy: number
  /** Further connections that it wants. */
  wanted: number
  /** Sum of all connections that it was given beside the first ones. */
  received: number
  /** Whether this answers a question to give connections up. */
  isAnswer: boolean
}

/** Tells that a worker's session of PostgreSQL has begun, or has ended. */
export interface SessionReport {
  type: 'session'
  /** Of what is divided, as in `PartReport`. */
  name: string
  /** Id of PostgreSQL's process. */
  pid: number
  isOpen: boolean
}

/** What a worker tells the parent. */
export type ToParent =
  | PartReport
  | SessionReport
  | { type: 'hello' }
  | { type: 'ready'; url: string; facts: LogFields }
  | { type: 'share'; server: string; share: number }
  | { type: 'ask'; id: number; kind: string; body: unknown }
  | { type: 'answer'; id: number; body: unknown }
  | { type: 'pong'; load: Load }
