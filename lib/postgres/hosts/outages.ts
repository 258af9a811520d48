import type { Log } from '../../log.ts'

/** What a server is for. */
export type ServerRole = 'primary' | 'replica'

/** What is wrong with a server. */
export interface Trouble {
  /** A change of the kind is logged, a change of the words is not. */
  kind: 'silent' | 'foreign' | 'diverged' | 'behind'
  /** Predicate for the log line, such as `does not answer (ECONNREFUSED)`. */
  what: string
}

/** A server that cannot be used, or that can be used again. */
export interface OutageChange {
  /** Host and port. */
  server: string
  role: ServerRole
  /** Its name in SERVERS, or that of the primary of a replica; undefined for those of `main`. */
  name: string | undefined
  /** Undefined: the outage is over. */
  trouble: Trouble | undefined
  /** Begin of the outage, ISO 8601. */
  since: string
  /** Length of the outage in seconds so far. */
  seconds: number
  /** The line that is logged. */
  message: string
}

/** State of a server for the metrics. */
export interface ServerState {
  server: string
  role: ServerRole
  /** As in `OutageChange`. */
  name: string | undefined
  isUp: boolean
  /** Outages since the start. */
  outages: number
  /** Seconds of all outages since the start, with the present one. */
  downSeconds: number
}

interface Known {
  server: string
  role: ServerRole
  trouble: Trouble | undefined
  since: number
  outages: number
  downMs: number
  hasBeenUp: boolean
}

/** Words of the lines, by the role of the server. */
const LINES: Record<ServerRole, Record<'name' | 'down' | 'again', string>> = {
  primary: { name: 'PostgreSQL at', down: 'is gone', again: 'is back' },
  replica: {
    name: 'Replica',
    down: 'gets no calls',
    again: 'is back and gets the calls that only read',
  },
}

/**
 * The outages of PostgreSQL's servers: logs one line where a server goes, with the time of its last
 * answer, and one where it comes back, with the length of the outage.
 */
export class Outages {
  readonly #log: Log
  readonly #servers = new Map<string, Known>()
  readonly #names = new Map<string, string>()
  /** Called after each line about a server that went or came back, or whose trouble is another one. */
  onChange: ((change: OutageChange) => void) | undefined

  constructor(log: Log) {
    this.#log = log
  }

  /** Gives a server the name that its lines have too. */
  setName(server: string, name: string): void {
    this.#names.set(server, name)
  }

  /**
   * Notes that a server cannot be used.
   * @param since milliseconds since 1970 of its last answer; default: now
   */
  begin(server: string, role: ServerRole, trouble: Trouble, since = Date.now()): void {
    const known = this.#of(server, role)
    if (known.trouble?.kind === trouble.kind) return
    if (!known.trouble) {
      known.since = since
      known.outages++
    }
    known.trouble = trouble
    const { down } = LINES[role]
    const change = this.#change(known, `${this.#called(server, role)} ${down}: it ${trouble.what}`)
    this.#log.warn(change.message, { server, name: change.name, since: change.since })
    this.onChange?.(change)
  }

  /** Notes that a server can be used. */
  end(server: string, role: ServerRole): void {
    const known = this.#of(server, role)
    if (!known.trouble) {
      if (!known.hasBeenUp && role === 'replica') {
        this.#log.info(`${this.#called(server, role)} gets the calls that only read`)
      }
      known.hasBeenUp = true
      return
    }
    known.trouble = undefined
    known.hasBeenUp = true
    const { again } = LINES[role]
    const change = this.#change(known, `${this.#called(server, role)} ${again}`)
    known.downMs += Date.now() - known.since
    change.message += `, after ${change.seconds} s`
    const { name, since, seconds } = change
    this.#log.info(change.message, { server, name, since, after_s: seconds })
    this.onChange?.(change)
  }

  /** Whether the server is known not to answer, or not to be usable. */
  isDown(server: string): boolean {
    return this.#servers.get(server)?.trouble !== undefined
  }

  status(): ServerState[] {
    return [...this.#servers.values()].map(({ server, role, trouble, since, outages, downMs }) => ({
      server,
      role,
      name: this.#names.get(server),
      isUp: trouble === undefined,
      outages,
      downSeconds: (downMs + (trouble ? Date.now() - since : 0)) / 1000,
    }))
  }

  #of(server: string, role: ServerRole): Known {
    let known = this.#servers.get(server)
    if (!known) {
      known = {
        server,
        role,
        trouble: undefined,
        since: 0,
        outages: 0,
        downMs: 0,
        hasBeenUp: false,
      }
      this.#servers.set(server, known)
    }
    return known
  }

  #called(server: string, role: ServerRole): string {
    const name = this.#names.get(server)
    if (name === undefined) return `${LINES[role].name} ${server}`
    return role === 'primary' ? `Server ${name} at ${server}` : `Replica ${server} of ${name}`
  }

  #change({ server, role, trouble, since }: Known, message: string): OutageChange {
    return {
      server,
      role,
      name: this.#names.get(server),
      trouble,
      since: new Date(since).toISOString(),
      seconds: Math.round((Date.now() - since) / 100) / 10,
      message,
    }
  }
}
