import { type Facts, NO_FACTS } from './facts.ts'
import type { Hidden } from './hidden.ts'
import type { Made } from './makes.ts'
import type { Reference } from './references.ts'
import type { Risk } from './risks.ts'
import type { StarQuery } from './star-query.ts'

/** One SQL statement of a file. */
export interface Statement {
  text: string
  /** Characters of the file before it. */
  offset: number
  /** Why a deploy cannot run it, where that is so. */
  refusal: string | undefined
  /** The view that it creates, as SQL names it. */
  view: string | undefined
  /** The function, procedure or aggregate that it creates, without schema and arguments. */
  routine: string | undefined
  /** What it creates, of that which a deploy replaces. */
  made: Made | undefined
  /** What has to be there before it runs. */
  needs: Reference[]
  /** It describes what others make: GRANT, COMMENT, ALTER FUNCTION, … */
  isDescription: boolean
  /**
   * It creates what has the columns, or their types, that tables have when it runs: a view or an
   * atomic body with `select *`, a signature with `t.c%type`.
   */
  takesColumns: boolean
  /** Of a view that keeps the columns that its `*` had when it was made. */
  starQuery: StarQuery | undefined
  /** The table of an index that has no name. */
  unnamedIndexOn: string | undefined
  /** What it may take away. */
  risks: Risk[]
  /** What runs behind it, where that is something else than what it says. */
  hidden: Hidden | undefined
  /** It makes or describes functions and views alone: no table changes, nothing is executed. */
  isCode: boolean
  facts: Facts
}

/** A text of which nothing is known. */
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
    facts: NO_FACTS,
  }
}

/** Whether a deploy looks into the database before it runs the statement. */
export function isAskedAbout({ risks, hidden }: Statement): boolean {
  return hidden !== undefined || risks.some(({ kind }) => kind !== 'listed')
}
