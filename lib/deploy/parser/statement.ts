import { type Facts, NO_FACTS } from './facts.ts'
import type { Hidden } from './hidden.ts'
import type { Made } from './makes.ts'
import type { Reference } from './references.ts'
import type { Risk } from './risks.ts'
import type { StarQuery } from './star-query.ts'

/** One SQL statement of a file. */
export interface Statement {
  text: string
  /** Offset in the file, in UTF-16 units. */
  offset: number
  /** Reason why a deploy cannot run it; undefined if it can. */
  refusal: string | undefined
  /** View that it creates, as SQL names it. */
  view: string | undefined
  /** Function, procedure or aggregate that it creates, without schema and arguments. */
  routine: string | undefined
  /** Object that it creates, if a deploy replaces objects of that kind. */
  made: Made | undefined
  /** References to objects that must exist before it runs. */
  needs: Reference[]
  /** It describes objects of other statements: GRANT, COMMENT, ALTER FUNCTION, … */
  isDescription: boolean
  /**
   * The object that it creates copies columns or their types from tables at creation: a view or a
   * BEGIN ATOMIC body with `select *`, a signature with `t.c%type`.
   */
  takesColumns: boolean
  /** Query of a view whose `*` was expanded when it was created. */
  starQuery: StarQuery | undefined
  /** Table of an index without a name. */
  unnamedIndexOn: string | undefined
  /** Data that it may take away. */
  risks: Risk[]
  /** Code that it runs and does not contain as SQL. */
  hidden: Hidden | undefined
  /** It only creates or describes functions and views: no table changes, no function runs. */
  isCode: boolean
  /** It does the same in all databases with the same catalogs: see `isPlain`. */
  isPlain: boolean
  facts: Facts
}

/** Returns a statement for a text that was not parsed. */
export function unread(text: string, offset = 0): Statement {
  return {
    text,
    offset,
    refusal: undefined,
    view: undefined,
    routine: undefined,
    made: undefined,
    needs: [],
    isDescription: false,
    takesColumns: false,
    starQuery: undefined,
    unnamedIndexOn: undefined,
    risks: [],
    hidden: undefined,
    isCode: false,
    isPlain: false,
    facts: NO_FACTS,
  }
}

/** Returns whether a deploy queries the database before it runs the statement. */
export function isAskedAbout({ risks, hidden }: Statement): boolean {
  return hidden !== undefined || risks.some(({ kind }) => kind !== 'listed')
}
