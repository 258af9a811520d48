import { NAMED, parameters } from '../call/parameters.ts'
import { showRows } from '../call/rows.ts'
import { command, DATABASE_ARGS } from '../command.ts'
import { send } from '../gateway/client.ts'
import { databaseOf } from '../gateway/database.ts'
import { RequestFailed } from '../gateway/request-failed.ts'
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
    const answer = await send(target, '/call', { body, headers }).catch((error) => {
      throw withNamedHint(error, args._)
    })
    if (args.json) writeText(io, `${answer.text}\n`)
    else showRows(answer.text, io)
    return undefined
  },
})

/** A text with "=" by position is read as a name and a value; nothing in the gateway's answer says so. */
function withNamedHint(error: unknown, typed: string[]): unknown {
  const isNoMatch = error instanceof RequestFailed && error.body.error === 'function_not_found'
  if (!isNoMatch || !error.body.candidates || typed.length === 0) return error
  if (!typed.every((one) => NAMED.test(one))) return error
  const hint =
    'An argument with "=" is name=value; a text with "=" is given by name (p_text=a=b) or in --params \'["a=b"]\''
  return new RequestFailed(error.status, { ...error.body, hint })
}

/** The members as JSON texts. */
function jsonOf(members: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, JSON.stringify(value)]),
  )
}
