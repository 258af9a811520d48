import type { Output } from './output.ts'
import { type Query, STEP, type Statement } from './query.ts'
import type { Statements } from './statements.ts'

/** Maximum number of parameters: Bind has it as an unsigned Int16. */
const MAX_VALUES = 65_535

/** Writes the messages of a query and sets its first step. */
export function writeQuery(output: Output, statements: Statements, query: Query): void {
  const { request } = query
  query.state = 'bound'
  query.step = STEP.completed
  switch (request.kind) {
    case 'statement':
      query.state = 'sent'
      writeStatement(output, statements, query, request.statement, request.portal)
      break
    case 'fetch':
      output.execute(request.portal, request.maxRows)
      break
    case 'close':
      query.step = STEP.closed
      output.closePortal(request.portal)
      break
    case 'simple':
      output.query(request.sql)
      return
  }
  if (query.isLast) output.sync()
}

function writeStatement(
  output: Output,
  statements: Statements,
  query: Query,
  statement: Statement,
  portal: string,
): void {
  const { text, values, isPrepared = true, describe = false, maxRows = 0 } = statement
  const known = isPrepared ? statements.find(text) : undefined
  query.step = STEP.bound
  if (known?.isReady) {
    query.prepared = known
  } else {
    // While the Parse of the named statement is under way it may fail: use the unnamed one.
    if (isPrepared && !known) query.prepared = statements.add(text)
    query.step = STEP.parsed
    output.parse(query.prepared?.name ?? '', text)
  }
  output.bind(portal, query.prepared?.name ?? '', values)
  if (describe) output.describePortal(portal)
  output.execute(portal, maxRows)
}

/** @throws {TypeError | RangeError} if the statement cannot be encoded */
export function checkStatement({ text, values }: Statement): void {
  checkText(text)
  if (values.length > MAX_VALUES) {
    throw new RangeError(`A statement has at most ${MAX_VALUES} parameters`)
  }
}

/** @throws {TypeError} for a zero byte: it would end the string within the message */
export function checkText(text: string): void {
  if (text.includes('\0')) throw new TypeError('A statement contains a zero byte')
}
