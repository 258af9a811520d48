import { resolve } from 'node:path'
import type { ArgsDef } from 'citty'
import { GATEWAY_ARGS, TENANT_ARG } from '../command.ts'
import type { Io } from '../io.ts'
import { writeChanged } from '../schema/write-changed.ts'
import { showDone, writeText } from '../terminal/show.ts'
import { download, type Request } from './client.ts'
import type { Target } from './target.ts'

/** The arguments of a command that writes a document of the gateway. */
export const DOCUMENT_ARGS = {
  out: {
    type: 'string',
    description: 'write it to a file, unless the file has it already; else to standard output',
    valueHint: 'file',
  },
  ...GATEWAY_ARGS,
  ...TENANT_ARG,
} as const satisfies ArgsDef

/** The types and the client of a platform in TypeScript. */
export const TYPES = { path: '/types.ts', type: 'text/typescript' }

/** A document that a command asks for, of a content type, and the file that it goes to. */
interface Asked {
  target: Target
  path: string
  type: string
  query: Request['query']
  out: string | undefined
}

/** Downloads a document, and writes it to a file or to standard output. */
export async function writeDocument(
  { target, path, type, query, out }: Asked,
  io: Io,
): Promise<undefined> {
  const document = await download(target, path, type, { query })
  if (out === undefined) writeText(io, document.toString())
  else {
    const isNew = await writeChanged(resolve(io.folder, out), document)
    showDone(io, isNew ? out : `${out} is up to date`)
  }
}
