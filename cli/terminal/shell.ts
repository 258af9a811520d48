/** Returns a word as a POSIX shell takes it, for a command that a person may paste. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : shellQuote(word)
}

/** Returns a path as a POSIX shell takes it; one that begins with a hyphen would be an option. */
export function shellPath(path: string): string {
  return shellWord(path.startsWith('-') ? `./${path}` : path)
}

/** Returns a text as one word of a POSIX shell, in quotes. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
