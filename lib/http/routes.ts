import { readdir } from 'node:fs/promises'
import { METHODS as NODE_METHODS } from 'node:http'
import { join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { EventHandler } from 'h3'
import type { Access, TokenKind } from './access/access.ts'
import type { EndpointDocs } from './endpoint-docs.ts'
import type { HandlerMeta } from './request.ts'

/** An endpoint, defined by a file below handlers/. */
export interface Route {
  method: string
  /** Path in h3's syntax: `/thing/:id`. */
  path: string
  access: Access
  token?: TokenKind | undefined
  /** One sentence for docs/endpoints.md. */
  description?: string
  /** Whether a request may have a query, other than with GET. */
  takesQuery?: boolean
  /** For /openapi.json. */
  docs?: EndpointDocs
  handler: EventHandler
}

/** A file below handlers/ does not define an endpoint; the message is one line that names it. */
export class RouteError extends Error {
  override readonly name = 'RouteError'
}

const CODE = /(?<!\.d)\.[cm]?[jt]s$/
const METHODS = 'get|post|put|patch|delete|query'
const FILE_NAME = new RegExp(
  `^(?<name>[\\w-]+(?:\\.(?:json|ts|php))?|\\[(?:\\.\\.\\.)?\\w+\\])\\.(?<method>${METHODS})\\.[cm]?[jt]s$`,
)
const FOLDER_NAME = /^(?:[\w-]+|\[\w+\])$/

/**
 * Loads every endpoint below a folder. As in Nitro, the file name is the route:
 * `admin/databases.get.ts` is `GET /admin/databases`, `thing/[id].post.ts` has the parameter `id`,
 * `openapi.json.get.ts` is `GET /openapi.json`, `index.get.ts` is the folder itself, `[...rest].get.ts` is everything below it. Endpoints whose
 * method this version of Node.js cannot parse (QUERY before 20.19.2) are skipped.
 * @throws {RouteError} for an invalid name, a missing or wrong export, or two files for one route
 */
export async function loadRoutes(folder: string): Promise<Route[]> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && CODE.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
  const routes = await Promise.all(files.map((file) => loadRoute(folder, file)))
  checkUnique(files, routes)
  return routes.filter(({ method }) => NODE_METHODS.includes(method))
}

async function loadRoute(folder: string, file: string): Promise<Route> {
  const { method, path } = parseRoute(file)
  const handler = await importHandler(folder, file)
  const meta = (handler as { meta?: HandlerMeta }).meta
  const access = file.startsWith(`admin${sep}`) ? 'admin' : (meta?.access ?? 'network')
  if (!['network', 'admin', 'public'].includes(access)) {
    throw new RouteError(
      `handlers/${file}: meta.access is "${access}"; it is network, admin or public`,
    )
  }
  const { token = 'admin', description, takesQuery = false } = meta ?? {}
  return { method, path, access, token, description, takesQuery, docs: meta ?? {}, handler }
}

function parseRoute(file: string): { method: string; path: string } {
  const folders = file.split(sep)
  const match = FILE_NAME.exec(folders.pop() ?? '')
  const wrong = folders.find((name) => !FOLDER_NAME.test(name))
  if (!match?.groups || wrong !== undefined) {
    throw new RouteError(
      `handlers/${file}: not the name of an endpoint; it is like name.get.ts or [id].post.ts (${METHODS.replaceAll('|', ', ')})`,
    )
  }
  const { name = '', method = '' } = match.groups
  const segments = [...folders, ...(name === 'index' ? [] : [name])]
  return { method: method.toUpperCase(), path: `/${segments.map(toPattern).join('/')}` }
}

function toPattern(segment: string): string {
  return segment.replace(/^\[\.\.\.(\w+)\]$/, '**:$1').replace(/^\[(\w+)\]$/, ':$1')
}

async function importHandler(folder: string, file: string): Promise<EventHandler> {
  let module: { default?: unknown }
  try {
    module = await import(pathToFileURL(join(folder, file)).href)
  } catch (error) {
    const reason = String((error as Error | null)?.message ?? error).trim()
    throw new RouteError(
      `handlers/${file}: cannot be loaded: ${reason.replaceAll(/\s*\n\s*/g, ' ')}`,
    )
  }
  if (typeof module.default === 'function') return module.default as EventHandler
  throw new RouteError(`handlers/${file}: its default export is not a handler; use defineHandler`)
}

function checkUnique(files: string[], routes: Route[]): void {
  const seen = new Map<string, string>()
  routes.forEach(({ method, path }, i) => {
    // Routes that differ only in the name of a parameter are the same.
    const key = `${method} ${path.replaceAll(/:\w+/g, ':')}`
    const other = seen.get(key)
    if (other)
      throw new RouteError(`handlers/${files[i]}: ${method} ${path} is also handlers/${other}`)
    seen.set(key, files[i]!)
  })
}
