import { availableParallelism } from 'node:os'
import { wholeNumber, word } from '../setting.ts'

const MOST_WORKERS = 256

/** @returns the number of workers; 1: the process itself does the work */
export function workersOf(text: string): number {
  return text === 'auto'
    ? Math.min(MOST_WORKERS, availableParallelism())
    : wholeNumber(1, MOST_WORKERS)(text)
}

export const PROCESS = {
  workers: word('WORKERS', 'number or `auto`', '1', workersOf, {
    restart: true,
    about:
      'The processes that answer requests, one a core. With more than 1, a parent accepts the connections of clients and gives them to the workers in turn; all of them are one service with one share of MAX_TOTAL_CONNECTIONS. `auto` is as many as there are cores.',
    edge: 'Each worker takes about 130 MB and one connection to PostgreSQL for notifications. MAX_BUFFERED_BYTES, MAX_HTTP_CONNECTIONS, MAX_CONNECTIONS_PER_POOL, MAX_CONNECTIONS_PER_PLATFORM, MAX_QUEUE_PER_DATABASE, MIGRATE_CONCURRENCY and MAX_WAITING_DEPLOYS are divided by the workers.',
  }),
}
