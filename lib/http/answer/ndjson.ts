import type { IncomingMessage } from 'node:http'
import { HTTPResponse } from 'h3'
import { GatewayError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { jsonInSlices } from './json-slices.ts'

const MEDIA_TYPE = 'application/x-ndjson'

/** Often enough that no proxy takes a long deploy for a dead connection. */
const HEARTBEAT_MS = 5000

/** Whether the client asks for an answer in lines. */
export function acceptsLines(req: IncomingMessage): boolean {
  return (req.headers.accept ?? '').includes(MEDIA_TYPE)
}

/**
 * An answer of JSON lines: what `work` writes as it goes, a heartbeat now and then, and last what
 * it returns, or its error. The status is 200 in any case, as it goes out first. A client that goes
 * away does not stop the work.
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
        await writeLong(toGatewayError(log, error))
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

function toGatewayError(log: Log, error: unknown): GatewayError {
  if (error instanceof GatewayError) return error
  log.error('Request failed', { error: (error as Error).stack ?? String(error) })
  return new GatewayError('internal_error', 'Something went wrong; the log says what')
}
