import width from 'fast-string-truncated-width'

export type Style = (text: string) => string

/** The styles of the output; without colour they change nothing. */
export interface Styles {
  bold: Style
  dim: Style
  red: Style
  green: Style
  yellow: Style
  cyan: Style
}

/** Returns the styles of an output. The codes are those of ECMA-48, "Select Graphic Rendition". */
export function styles(hasColor: boolean): Styles {
  const style =
    (on: number, off: number): Style =>
    (text) =>
      hasColor && text !== '' ? `\u001b[${on}m${text}\u001b[${off}m` : text
  return {
    bold: style(1, 22),
    dim: style(2, 22),
    red: style(31, 39),
    green: style(32, 39),
    yellow: style(33, 39),
    cyan: style(36, 39),
  }
}

/**
 * Returns a text without what could steer a terminal: control characters other than line feeds and
 * tabs, and those that turn the direction of writing round, are written as escapes.
 */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Returns the columns that a text takes on a terminal. */
export function widthOf(text: string): number {
  return width(text).width
}

/** Returns a text in at most `columns` columns; a longer one ends in "…". */
export function fit(text: string, columns: number): string {
  const options = { limit: Math.max(columns, 1), ellipsis: '…', ellipsisWidth: 1 }
  const { index, ellipsed } = width(text, options)
  return ellipsed ? `${text.slice(0, index)}…` : text
}
