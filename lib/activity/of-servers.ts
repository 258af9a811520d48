import type { ReplicaStatus } from '../postgres/hosts/replicas.ts'
import { whileAnswering } from '../servers/fan-in.ts'
import type { ServerEntry } from '../servers/servers.ts'
import type { Activity } from './activity.ts'
import type { SessionActivity } from './sessions.ts'
import { shownSessions } from './shown-sessions.ts'

/** The parts for a server, as far as its activity is concerned. */
interface Watched {
  activity: Activity
  fleet: { can(): Promise<{ see_sessions: true | string }> }
  replicas: { status(): ReplicaStatus[] } | undefined
  server: { database: string }
  health: { answers(withinMs: number): Promise<boolean> }
}

interface Watching {
  readonly areSeveral: boolean
  entries(): ServerEntry<Watched>[]
}

/** What a server is doing. If it is away, sessions and vital signs are null, and `why` says why. */
export type ServerNow = Awaited<ReturnType<typeof activityOf>> & {
  name: string
  replicas: ReplicaStatus[]
}

/**
 * Returns what each server is doing, `main` first. Never rejects.
 * @param mayName as of `shownSessions`
 */
export async function activityOfServers(
  servers: Watching,
  mayName: ((platform: string) => boolean) | undefined,
): Promise<[ServerNow, ...ServerNow[]]> {
  const all = servers.entries().map(async ({ name, parts, trouble }): Promise<ServerNow> => {
    if (!parts) return { name, ...unknown(`Server ${name} ${trouble}`), replicas: [] }
    const now = servers.areSeveral ? whileAnswering(parts, name, activityOf) : activityOf(parts)
    const { sessions, ...rest } = await now.catch(({ message }: Error) => unknown(message))
    return {
      name,
      ...rest,
      sessions: shownSessions(sessions, mayName, parts.server.database),
      replicas: parts.replicas?.status() ?? [],
    }
  })
  return (await Promise.all(all)) as [ServerNow, ...ServerNow[]]
}

/** Returns the sessions of all servers that have answered, each with its `server`; null if none has. */
export function sessionsOf(
  { areSeveral }: { readonly areSeveral: boolean },
  all: [ServerNow, ...ServerNow[]],
): (SessionActivity & { server?: string })[] | null {
  if (!areSeveral) return all[0].sessions
  const known = all.filter(({ sessions }) => sessions !== null)
  if (known.length === 0) return null
  return known.flatMap(({ name, sessions }) => sessions!.map((one) => ({ ...one, server: name })))
}

async function activityOf(there: Watched) {
  const { at, sessions, vitals, why } = await there.activity.read()
  const can = why === null ? await there.fleet.can().catch(() => undefined) : undefined
  return { at, sessions, vitals, why, can: seeing(can?.see_sessions ?? why) }
}

function unknown(why: string): Awaited<ReturnType<typeof activityOf>> {
  return { at: new Date().toISOString(), sessions: null, vitals: null, why, can: seeing(why) }
}

function seeing(see: true | string | null) {
  return { see_sessions: see ?? 'PostgreSQL does not answer' }
}
