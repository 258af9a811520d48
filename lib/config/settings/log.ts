import { integer, optional } from '../setting.ts'
import { logFormat, logLevel } from '../values.ts'

const LEVELS = '`error`, `warn`, `info`, `debug` or `trace`'

export const LOG_LEVEL = optional('LOG_LEVEL', LEVELS, logLevel, {
  none: '`info`',
  example: 'info',
  about: 'The least severe entries that are logged.',
  edge: 'RUST_LOG is read where LOG_LEVEL is not set.',
})

export const LOG = {
  logFormat: optional('LOG_FORMAT', '`text`, `json` or `ecs`', logFormat, {
    none: '`text` in a terminal, `json` elsewhere',
    example: 'json',
    about:
      'How a line of the log is written. `json`: one object a line, as journald, Loki and others read it. `ecs`: the same with the names of the Elastic Common Schema. In each, control characters are escaped.',
  }),
  logSuccessesPerSecond: integer('LOG_SUCCESSES_PER_SEC', Infinity, [0, 1_000_000], {
    none: 'all',
    about: 'The lines a second of requests that succeeded.',
    edge: 'Further ones are left out; a line every 10 s says how many. Requests with status 400 and above, and those that took SLOW_CALL_MS or longer, always have their line.',
  }),
}
