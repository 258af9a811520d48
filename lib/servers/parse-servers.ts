import { parseDatabaseUrl, parseDatabaseUrls, type Server } from '../postgres/hosts/server.ts'

/** The name of the server of DATABASE_URL. */
export const MAIN_SERVER = 'main'

/** What PLACEMENT may be besides the name of a server: the one with most room, by this. */
export const MEASURES = ['databases', 'bytes', 'load'] as const

export type Measure = (typeof MEASURES)[number]

const NAME = /^[a-z][a-z0-9_-]{0,31}$/

/**
 * Parses entries `name=value`, with semicolons between. Names are unique.
 * @throws {Error} naming the entry; its message repeats no value
 */
function parseEntries<T>(text: string, parse: (value: string) => T): Map<string, T> {
  const entries = new Map<string, T>()
  for (const part of text.split(';')) {
    const entry = part.trim()
    if (entry === '') continue
    const at = entry.indexOf('=')
    const name = entry.slice(0, Math.max(0, at)).trim()
    if (!NAME.test(name)) {
      throw new Error(
        `has an entry that is not name=value, whose name is small letters, digits, "-" and "_": it is entry ${entries.size + 1}`,
      )
    }
    if (entries.has(name)) throw new Error(`has the name ${name} twice`)
    try {
      entries.set(name, parse(entry.slice(at + 1).trim()))
    } catch (error) {
      throw new Error(`${name} ${(error as Error).message}`)
    }
  }
  return entries
}

/**
 * Parses SERVERS: `name=postgres://…;name=postgres://…`. A semicolon in a password is written %3B.
 * @throws {Error} naming the server; its message never contains a password
 */
export function parseServers(text: string): Map<string, Server> {
  const servers = parseEntries(text, parseDatabaseUrl)
  if (!servers.has(MAIN_SERVER)) return servers
  throw new Error(`has the name ${MAIN_SERVER}, which is that of the server of DATABASE_URL`)
}

/** Parses SERVER_READ_URLS: `name=postgres://…,postgres://…;name=…`. @throws {Error} likewise */
export function parseServerReplicas(text: string): Map<string, Server[]> {
  return parseEntries(text, parseDatabaseUrls)
}

/** The server that tenants with a label are placed on. */
export interface PlacementLabel {
  key: string
  value: string
  server: string
}

/** Parses PLACEMENT_LABELS: `plan=pro:eu1;region=eu:eu2`. @throws {Error} naming the entry by its number */
export function parsePlacementLabels(text: string): PlacementLabel[] {
  const entries = text.split(';').flatMap((part) => part.trim() || [])
  return entries.map((entry, at) => {
    const [, key, value, server] = /^([^=:\s]+)=([^=:\s]+):([a-z][a-z0-9_-]*)$/.exec(entry) ?? []
    if (key && value && server) return { key, value, server }
    throw new Error(`has an entry that is not label=value:server: it is entry ${at + 1}`)
  })
}

/** Parses SERVER_MAX_CONNECTIONS: `name=number;name=number`. @throws {Error} naming the server */
export function parseServerConnections(text: string): Map<string, number> {
  return parseEntries(text, (value) => {
    const number = /^\d{1,6}$/.test(value) ? Number(value) : 0
    if (number >= 4 && number <= 100_000) return number
    throw new Error('has no whole number from 4 to 100000')
  })
}
