import { escaped, type Format, hundredths, isoTime, toJson } from './line.ts'

/** One JSON object a line, with the gateway's own names. */
export const json: Format = {
  entry: (date, level, message, fields) =>
    toJson({ time: date.toISOString(), level, message, ...fields }),

  // As `entry`, without its cost. Methods, addresses, ids and database names need no escaping.
  request(line, level) {
    const path = escaped(line.path)
    let text = `{"time":"${isoTime()}","level":"${level}","message":"${line.method} ${path}","method":"${line.method}","path":"${path}","status":${line.status},"ms":${line.ms}`
    if (line.address !== undefined) text += `,"address":"${line.address}"`
    text += `,"request_id":"${line.request_id}"`
    if (line.trace_id !== undefined) {
      text += `,"trace_id":"${line.trace_id}","span_id":"${line.span_id}"`
    }
    if (line.platform !== undefined) text += `,"platform":"${line.platform}"`
    if (line.database !== undefined) text += `,"database":"${line.database}"`
    if (line.function !== undefined) text += `,"function":"${line.function}"`
    if (line.error !== undefined) text += `,"error":"${line.error}"`
    if (line.sqlstate !== undefined) text += `,"sqlstate":"${line.sqlstate}"`
    if (line.wait_ms !== undefined) text += `,"wait_ms":${hundredths(line.wait_ms)}`
    if (line.query_ms !== undefined) text += `,"query_ms":${hundredths(line.query_ms)}`
    return `${text}}`
  },
}
