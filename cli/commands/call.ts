import { parameters } from '../call/parameters.ts'
import { showRows } from '../call/rows.ts'
import { command, DATABASE_ARGS } from '../command.ts'
import { send } from '../gateway/client.ts'
import { databaseOf } from '../gateway/database.ts'
import { platformOf, readTarget } from '../gateway/target.ts'
import { writeText } from '../terminal/show.ts'

export default command({
  args: {
    function: { type: 'positional', required: true, description: 'its name' },
    params: {
      type: 'string',
      description: 'the parameters as JSON, an array or an object; - reads them from the input',
      valueHint: 'json',
    },
    key: { type: 'string', description: 'Idempotency-Key of the call', valueHint: 'key' },
    ...DATABASE_ARGS,
  },
  takesMore: true,
  async run(args, io) {
    const target = readTarget(args, io)
    const given = args.params === '-' ? await io.input() : args.params
    const members = {
      ...jsonOf({
        platform: platformOf(target),
        ...databaseOf(args, target),
        function: args.function,
      }),
      params: parameters(args._, given),
      // With NUMERIC_FORMAT=string a table could not tell numbers from texts.
      ...(!args.json && { numeric: '"number"' }),
    }
    const body = `{${Object.entries(members)
      .map(([name, json]) => `"${name}":${json}`)
      .join(',')}}`
    const headers = args.key === undefined ? undefined : { 'idempotency-key': args.key }
    const answer = await send(target, '/call', { body, headers })
    if (args.json) writeText(io, `${answer.text}\n`)
    else showRows(answer.text, io)
    return undefined
  },
})

/** The members as JSON texts. */
function jsonOf(members: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, JSON.stringify(value)]),
  )
}
