import type { IncomingMessage } from 'node:http'
import { type Readable, Transform, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Failure } from '../command.ts'
import { type Answer, answerOf, begin, open, type Request } from './client.ts'
import { isDone, isOfType, unreachable } from './judge.ts'
import type { Target } from './target.ts'

/** How long a body waits for "100 Continue", which a proxy may keep to itself. */
const CONTINUE_MS = 1000

/**
 * Begins a download of bytes.
 * @returns writes the rest of it to a stream, which is left open, and returns the bytes; it throws a
 *   Failure if the download is cut, or cannot be written
 * @throws as `send`, before any byte
 */
export async function beginDownload(
  target: Target,
  path: string,
  request: Pick<Request, 'query' | 'signal'>,
): Promise<(to: Writable) => Promise<number>> {
  const response = await open(target, path, request)
  if (!isDone(response) || !isOfType(response, 'application/octet-stream')) {
    const { text } = await answerOf(target, response)
    throw new Failure(`${target.url} answers with what is no dump: ${text.slice(0, 200)}`)
  }
  return async (to) => {
    let bytes = 0
    let failure: Error | undefined
    // An error of one stream destroys the other with an error that says less: the first one counts.
    const onError = (prefix: string) => (error: Error) => {
      failure ??= new Failure(`${prefix}: ${error.message}`)
    }
    response.once('error', onError(`The connection to ${target.url} broke, and the dump is cut`))
    to.once('error', onError('The dump cannot be written'))
    const count = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length
        done(null, chunk)
      },
    })
    try {
      await pipeline(response, count, to, { end: false })
    } catch (error) {
      throw failure ?? error
    }
    return bytes
  }
}

/**
 * Sends the bytes of a stream as the body of a request, as they come, once the gateway asks for them:
 * what it refuses at once is not sent.
 * @param size of the body in bytes, if it is known
 * @throws as `send`; {Failure} if the bytes cannot be read to their end
 */
export async function upload(
  target: Target,
  path: string,
  { query, input, size }: { query: Request['query']; input: Readable; size?: number | undefined },
): Promise<Answer> {
  const headers = {
    'content-type': 'application/octet-stream',
    expect: '100-continue',
    ...(size !== undefined && { 'content-length': String(size) }),
  }
  const sent = begin(target, path, { method: 'POST', query, headers })
  let isSending = false
  const send = () => {
    if (!isSending) input.pipe(sent)
    isSending = true
  }
  sent.once('continue', send)
  const timer = setTimeout(send, CONTINUE_MS)
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve)
      input.once('error', ({ message }) => {
        reject(new Failure(`The dump cannot be read: ${message}`))
      })
      sent.on('error', (error) =>
        reject(
          isSending
            ? new Failure(`The connection to ${target.url} broke: ${error.message}`)
            : unreachable(target, error, 'POST', path),
        ),
      )
    })
    // An early answer: the rest is not wanted.
    clearTimeout(timer)
    input.unpipe(sent)
    return await answerOf(target, response)
  } finally {
    clearTimeout(timer)
    input.destroy()
    sent.destroy()
  }
}
