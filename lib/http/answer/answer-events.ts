import type { H3Event } from 'h3'
import { nodeOf } from '../request.ts'

/** Where events are written to. */
interface EventSink {
  write(text: string): void
  readonly buffered: number
  end(): void
  destroy(): void
}

/**
 * Answers with server-sent events until the client goes or the sink is ended.
 * @param open begins the stream and returns what ends it; what it throws is answered as an error
 */
export function answerEvents(event: H3Event, open: (sink: () => EventSink) => () => void): void {
  const { req, res } = nodeOf(event)
  const begin = (): EventSink => {
    res.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // nginx would collect events.
      'x-accel-buffering': 'no',
      'x-request-id': event.context.request.id,
    })
    return {
      write: (text) => res.write(text),
      get buffered() {
        return res.writableLength
      },
      end: () => res.end(),
      destroy: () => res.destroy(),
    }
  }
  if (req.method === 'HEAD') begin().end()
  else res.once('close', open(begin))
}
