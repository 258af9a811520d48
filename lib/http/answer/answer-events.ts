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
 * Answers with server-sent events until the client goes, the sink is ended, or a reload changes who may
 * send requests: the client opens the stream again, and is judged anew.
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
  else {
    const end = open(begin)
    res.once('close', end)
    event.context.gateway.longAnswers.hold(event, () => {
      end()
      res.end()
    })
  }
}
