/** More characters of a text are not repeated. */
export const MAX_SHOWN = 80

/** A text that a client has sent, as messages repeat it: a very long one is cut. */
export function shown(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

/** The first `most` of the names, for people, and how many more there are. */
export function someOf(names: string[], most: number, show = (name: string) => name): string {
  const first = names.slice(0, most).map(show).join(', ')
  const rest = names.length - most
  return rest > 0 ? `${first} and ${rest} more` : first
}
