/** The share of a service in the connections to one server, as a worker of it sees it. */
export interface ShareOfService {
  /** UUID of the service. Other gateways see it as one gateway with this id. */
  readonly id: string
  /** Number of this worker, from 1; the one that replaces it has the same. */
  readonly worker: number
  /** Id of the parent's process. */
  readonly parent: number
  /** Whether this worker divides PostgreSQL's connections with other gateways, for all workers. */
  readonly isLeader: boolean
  /** Connections that the service may have open, as of the last word of the leader. */
  readonly share: number
  /** Upper limit of the connections that the workers have open together. */
  readonly held: number
  /** As the leader, tells the share of the service. */
  setShare(connections: number): void
  /** Called when this worker has become the leader, and when the share or `held` has changed. */
  onChange: (() => void) | undefined
}

/** The service that a process is a worker of, as the parts of its gateway see it. */
export interface ServiceOfWorker {
  readonly worker: number
  /** Number of workers that the service has when all run. */
  readonly workers: number
  /** `performance.now()` at the start of the service. */
  readonly startedAt: number
  /** Whether this is the first worker of the service, which tells that the service has started. */
  readonly isFirst: boolean
  /** @param server name of a server; `main` is that of DATABASE_URL */
  shareOf(server: string): ShareOfService
  /**
   * Takes part in the division of connections: `pools` gets its limit from now on.
   * @param name of what is divided: a server, or a replica
   * @param server whose share is divided
   */
  divide(name: string, server: string, pools: DividedPools): void
  /**
   * Tells the other workers something, and resolves with the answers of those that answer soon.
   * Never rejects.
   */
  ask(kind: Question, body: unknown): Promise<unknown[]>
  /** Answers what other workers ask. */
  answer(kind: Question, handler: () => unknown): void
}

/** What workers ask each other. */
export type Question = 'metrics' | 'pools' | 'load'

/** What is needed of connections: open ones, those of them in use, and further ones wanted. */
interface Need {
  held: number
  busy: number
  wanted: number
}

/** Pools whose limit is a part of the service's share. */
export interface DividedPools {
  /**
   * @param tell called when more connections are needed, and when one was closed
   * @param onSession called with the process id of a session of PostgreSQL that has begun or ended
   */
  watchNeed(tell: () => void, onSession: (pid: number, isOpen: boolean) => void): () => Need
  setCapacity(connections: number): void
}

/** A worker of a service, as the endpoints for operators show it. */
export interface WorkerStatus {
  /** Id by which calls in flight and jobs name it. */
  id: string
  worker: number
  pid: number
}
