import type { DeclaredError } from './description.ts'

/** What a comment on a function says. */
export interface ParsedComment {
  /** The text before the first tag. */
  about: string
  errors: DeclaredError[]
  /** What `@param` and `@column` say, by name. */
  params: Map<string, string>
  columns: Map<string, string>
  /** Parameters and columns that are never null. */
  notNull: Set<string>
}

/** A line that begins with a tag: its name, a word, and the rest. */
const TAG = /^\s*@(?<tag>error|param|column|not_null)\s+(?<word>\S+)\s*(?<rest>.*)$/

const SQLSTATE = /^[0-9A-Z]{5}$/

/**
 * Reads the tags of a comment on a function, each on a line of its own:
 *
 * - `@error P0001 The balance is too low` declares an error by its SQLSTATE.
 * - `@param p_id The patient`, `@column o_name Family name first` describe a parameter, a column.
 * - `@not_null o_id, o_name` names parameters and columns that are never null.
 *
 * Lines without a tag continue the one before them. What is no such tag is text. Of two
 * `@error` with one SQLSTATE the second continues the first.
 */
export function parseComment(comment: string): ParsedComment {
  const about: string[] = []
  const errors: DeclaredError[] = []
  const [params, columns] = [new Map<string, string>(), new Map<string, string>()]
  const notNull = new Set<string>()
  const toAbout = (line: string) => {
    about.push(line)
  }
  let append = toAbout
  for (const line of comment.split(/\r\n|\r|\n/)) {
    const { tag, word = '', rest = '' } = TAG.exec(line)?.groups ?? {}
    if (tag === 'error' && SQLSTATE.test(word)) {
      const error = errors.find(({ sqlstate }) => sqlstate === word) ?? {
        sqlstate: word,
        about: '',
      }
      if (!errors.includes(error)) errors.push(error)
      error.about = joined(error.about, rest)
      append = (more) => {
        error.about = joined(error.about, more)
      }
    } else if (tag === 'param' || tag === 'column') {
      const texts = tag === 'param' ? params : columns
      texts.set(word, rest)
      append = (more) => {
        texts.set(word, joined(texts.get(word)!, more))
      }
    } else if (tag === 'not_null') {
      for (const name of `${word} ${rest}`.split(/[\s,]+/)) notNull.add(name)
    } else {
      if (tag === 'error') append = toAbout
      append(line)
    }
  }
  return { about: about.join('\n').trim(), errors, params, columns, notNull }
}

function joined(text: string, more: string): string {
  return `${text} ${more.trim()}`.trim()
}
