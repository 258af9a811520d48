import { escapedPath, type Format, hundredths, isoTime, toJson } from './line.ts'

/** One JSON object a line, with the gateway's own names. */
export const json: Format = {
  entry: (date, level, message, fields) =>
    toJson({ time: date.toISOString(), level, message, ...fields }),

  // As `entry`, without its cost. Methods, addresses, ids and database names need no escaping.
  request: {
    begin: '{"time":"',
    write(lines, line, level) {
      const path = escapedPath(line.path)
      lines.add(isoTime()).add('","level":"').add(level)
      lines.add('","message":"').add(line.method).add(' ').add(path)
      lines.add('","method":"').add(line.method).add('","path":"').add(path)
      lines.add('","status":').add(String(line.status)).add(',"ms":').add(String(line.ms))
      if (line.address !== undefined) lines.add(',"address":"').add(line.address).add('"')
      lines.add(',"request_id":"').add(line.request_id)
      if (line.trace_id !== undefined) {
        lines.add('","trace_id":"').add(line.trace_id).add('","span_id":"').add(line.span_id!)
      }
      if (line.platform !== undefined) lines.add('","platform":"').add(line.platform)
      if (line.database !== undefined) lines.add('","database":"').add(line.database)
      if (line.function !== undefined) lines.add('","function":"').add(line.function)
      if (line.error !== undefined) lines.add('","error":"').add(line.error)
      if (line.sqlstate !== undefined) lines.add('","sqlstate":"').add(line.sqlstate)
      lines.add('"')
      if (line.wait_ms !== undefined) lines.add(',"wait_ms":').add(hundredths(line.wait_ms))
      if (line.query_ms !== undefined) lines.add(',"query_ms":').add(hundredths(line.query_ms))
      lines.add('}\n')
    },
  },
}
