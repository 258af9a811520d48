import { randomUUID } from 'node:crypto'
import { EXIT, type ExitCode, Failure } from '../command.ts'
import { type Request, send, sendForLines } from '../gateway/client.ts'
import type { Target } from '../gateway/target.ts'
import type { Io } from '../io.ts'
import { canRedraw } from '../terminal/redraw.ts'
import { writeJson } from '../terminal/show.ts'
import { printable, styles } from '../terminal/style.ts'
import { duration } from '../terminal/words.ts'
import { drawFleet, failureLine, Live } from './draw.ts'
import { newFleet, take } from './state.ts'
import { describeEnd } from './summary.ts'

/** A request that deploys to many databases. */
export interface FleetCommand {
  target: Target
  platform: string
  path: string
  request: Request
  /** The command line that does what is left. */
  again: string
  json: boolean
}

const DEFAULT_COLUMNS = 80

/**
 * Sends the request and shows how far the fleet is: a terminal has one picture that changes, other
 * output a line for each database. The first Ctrl-C has the gateway start no further database, the
 * second one leaves it alone.
 */
export async function runFleet(command: FleetCommand, io: Io): Promise<ExitCode> {
  const { target, platform, path, request, again, json } = command
  const style = styles(io.hasColor)
  const fleet = newFleet()
  const live = canRedraw(io) && !json ? new Live(io.out) : undefined
  const id = randomUUID()
  const leaving = new AbortController()
  let note = ''
  const draw = () => live?.draw(drawFleet(fleet, note, style, io.columns ?? DEFAULT_COLUMNS))
  const say = (text: string) => {
    note = printable(text)
    if (live) draw()
    else if (!json) io.err(`${printable(text)}\n`)
  }
  const release = io.onInterrupt(() => {
    if (note !== '') return leaving.abort()
    say('stopping: what has begun is finished; Ctrl-C again leaves')
    const body = JSON.stringify({ platform, request_id: id })
    send(target, '/migrate/stop', { body }).catch((error: Error) =>
      say(`the gateway goes on: it could not be asked to stop: ${error.message}`),
    )
  })
  try {
    const headers = { ...request.headers, 'x-request-id': id }
    const asked = { ...request, headers, signal: leaving.signal }
    draw()
    for await (const line of sendForLines(target, path, asked)) {
      const ended = take(fleet, line)
      if (live) draw()
      else if (ended && !json) {
        io.out(
          ended.status === 'failed'
            ? `${style.red('✗')} ${failureLine(ended)}\n`
            : `${style.green('✓')} ${printable(ended.database)} ${style.dim(`(${duration(ended.execution_time_ms)})`)}\n`,
        )
      }
    }
  } catch (error) {
    live?.clear()
    if (!leaving.signal.aborted) throw error
    throw new Failure(
      `Left. The gateway finishes what it has begun (${fleet.running.join(', ') || 'nothing'}). Then: ${again}`,
    )
  } finally {
    release()
  }
  live?.clear()
  const { end } = fleet
  if (!end) throw new Failure('The gateway ended the answer without a result')
  const hasFailed = typeof end.error === 'string'
  if (json) writeJson(io, end)
  else (hasFailed ? io.err : io.out)(`${describeEnd(end, again, style)}\n`)
  return hasFailed ? EXIT.failed : EXIT.done
}
