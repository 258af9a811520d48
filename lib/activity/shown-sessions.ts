import type { SessionActivity } from './sessions.ts'

/**
 * Returns the sessions that a client may see: all, or where platforms are limited to networks, those of
 * the platforms that it may name, and those of the administrative database without their statements,
 * which name databases. Other databases without a platform may be those of a hidden one.
 * @param mayName whether the client may be told of a platform; undefined: of all
 * @param administrative name of the administrative database
 */
export function shownSessions(
  sessions: SessionActivity[] | null,
  mayName: ((platform: string) => boolean) | undefined,
  administrative: string,
): SessionActivity[] | null {
  if (!mayName || !sessions) return sessions
  return sessions.flatMap((session) => {
    const { platform, database } = session
    if (platform !== null) return mayName(platform) ? [session] : []
    return database === administrative ? [{ ...session, query: null }] : []
  })
}
