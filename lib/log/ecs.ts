import { escaped, type Format, hundredths, isoTime, type LogFields, toJson } from './line.ts'

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

    request(line, level) {
      const path = escaped(line.path)
      const ns = Math.round(line.ms * 1e6)
      let text = `{"@timestamp":"${isoTime()}","log.level":"${level}","message":"${line.method} ${path}","ecs.version":"${VERSION}","service.name":"${service}","http.request.method":"${line.method}","url.path":"${path}","http.response.status_code":${line.status},"event.duration":${ns}`
      if (line.address !== undefined) text += `,"client.address":"${line.address}"`
      text += `,"http.request.id":"${line.request_id}"`
      if (line.trace_id !== undefined) {
        text += `,"trace.id":"${line.trace_id}","span.id":"${line.span_id}"`
      }
      if (line.platform !== undefined) text += `,"db_gateway.platform":"${line.platform}"`
      if (line.database !== undefined) text += `,"db_gateway.database":"${line.database}"`
      if (line.function !== undefined) text += `,"db_gateway.function":"${line.function}"`
      if (line.error !== undefined) text += `,"error.code":"${line.error}"`
      if (line.sqlstate !== undefined) text += `,"db_gateway.sqlstate":"${line.sqlstate}"`
      if (line.wait_ms !== undefined) text += `,"db_gateway.wait_ms":${hundredths(line.wait_ms)}`
      if (line.query_ms !== undefined) {
        text += `,"db_gateway.query_ms":${hundredths(line.query_ms)}`
      }
      return `${text}}`
    },
  }
}
