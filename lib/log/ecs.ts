import {
  escaped,
  escapedPath,
  type Format,
  hundredths,
  isoTime,
  type LogFields,
  toJson,
} from './line.ts'

const VERSION = '8.11.0'

/** Names of the Elastic Common Schema; what it has no name for is below `db_gateway`. */
const NAMES: Record<string, string> = {
  request_id: 'http.request.id',
  trace_id: 'trace.id',
  span_id: 'span.id',
  address: 'client.address',
  error: 'error.message',
}

function named(fields: LogFields): LogFields {
  const entries = Object.entries(fields)
  return Object.fromEntries(
    entries.map(([name, value]) => [NAMES[name] ?? `db_gateway.${name}`, value]),
  )
}

/** The format of the Elastic Common Schema, with the name of the service on each line. */
export function ecs(serviceName: string): Format {
  const service = escaped(serviceName)
  return {
    entry: (date, level, message, fields) =>
      toJson({
        '@timestamp': date.toISOString(),
        'log.level': level,
        message,
        'ecs.version': VERSION,
        'service.name': serviceName,
        ...named(fields),
      }),

    request: {
      begin: '{"@timestamp":"',
      write(lines, line, level) {
        const path = escapedPath(line.path)
        lines.add(isoTime()).add('","log.level":"').add(level)
        lines.add('","message":"').add(line.method).add(' ').add(path)
        lines.add(`","ecs.version":"${VERSION}","service.name":"`).add(service)
        lines.add('","http.request.method":"').add(line.method).add('","url.path":"').add(path)
        lines.add('","http.response.status_code":').add(String(line.status))
        lines.add(',"event.duration":').add(String(Math.round(line.ms * 1e6)))
        if (line.address !== undefined) lines.add(',"client.address":"').add(line.address).add('"')
        lines.add(',"http.request.id":"').add(line.request_id)
        if (line.trace_id !== undefined) {
          lines.add('","trace.id":"').add(line.trace_id).add('","span.id":"').add(line.span_id!)
        }
        if (line.platform !== undefined) lines.add('","db_gateway.platform":"').add(line.platform)
        if (line.database !== undefined) lines.add('","db_gateway.database":"').add(line.database)
        if (line.function !== undefined) lines.add('","db_gateway.function":"').add(line.function)
        if (line.error !== undefined) lines.add('","error.code":"').add(line.error)
        if (line.sqlstate !== undefined) lines.add('","db_gateway.sqlstate":"').add(line.sqlstate)
        lines.add('"')
        if (line.wait_ms !== undefined) {
          lines.add(',"db_gateway.wait_ms":').add(hundredths(line.wait_ms))
        }
        if (line.query_ms !== undefined) {
          lines.add(',"db_gateway.query_ms":').add(hundredths(line.query_ms))
        }
        lines.add('}\n')
      },
    },
  }
}
