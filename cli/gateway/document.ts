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

/** Downloads a document, and writes it to a file or to standard output. */
export async function writeDocument(
  asked: { target: Target; path: string; query: Request['query']; out: string | undefined },
  io: Io,
): Promise<undefined> {
  const { target, path, query, out } = asked
  const document = await download(target, path, { query })
  if (out === undefined) writeText(io, document.toString())
  else {
    const isNew = await writeChanged(resolve(io.folder, out), document)
    showDone(io, isNew ? out : `${out} is up to date`)
  }
}
