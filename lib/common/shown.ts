/** Maximum number of characters of a client's text that a message repeats. */
export const MAX_SHOWN = 80

/** Returns a client's text for a message, truncated if it is long. */
export function shown(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

/** Returns the first `most` names for a message, and the number of the others. */
export function someOf(names: string[], most: number, show = (name: string) => name): string {
  const first = names.slice(0, most).map(show).join(', ')
  const rest = names.length - most
  return rest > 0 ? `${first} and ${rest} more` : first
}
