import type { IncomingMessage } from 'node:http'
import { HTTPResponse } from 'h3'
import { GatewayError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { toldError } from './answer-error.ts'
import { jsonInSlices } from './json-slices.ts'

const MEDIA_TYPE = 'application/x-ndjson'

/** Interval that keeps proxies from closing the connection during a long deploy. */
const HEARTBEAT_MS = 5000

/** Whether the client accepts JSON lines. */
export function acceptsLines(req: IncomingMessage): boolean {
  return (req.headers.accept ?? '').includes(MEDIA_TYPE)
}

/**
 * Returns an answer of JSON lines: the lines that `work` writes, heartbeats in between, and last
 * its result or error. The status is always 200, because it is sent first. The work continues if
 * the client disconnects.
 */
export function streamLines(
  log: Log,
  work: (write: (line: object) => void) => Promise<object>,
): HTTPResponse {
  const encoder = new TextEncoder()
  let isOpen = true
  const stream = new ReadableStream<Uint8Array>({
    async start(controller) {
      const send = (line: string) => {
        if (isOpen) controller.enqueue(encoder.encode(`${line}\n`))
      }
      const write = (line: object) => send(JSON.stringify(line))
      const writeLong = async (line: object) => send(await jsonInSlices(line))
      const heartbeat = setInterval(() => write({ status: 'running' }), HEARTBEAT_MS)
      try {
        await writeLong(await work(write))
      } catch (error) {
        logUnexpected(log, error)
        await writeLong(toldError(error))
      } finally {
        clearInterval(heartbeat)
        if (isOpen) controller.close()
      }
    },
    cancel() {
      isOpen = false
    },
  })
  return new HTTPResponse(stream, { headers: { 'content-type': `${MEDIA_TYPE}; charset=utf-8` } })
}

function logUnexpected(log: Log, error: unknown): void {
  if (error instanceof GatewayError) return
  log.error('Request failed', { error: (error as Error).stack ?? String(error) })
}
