import fc from 'fast-check'

/** One change of a text or of bytes: what, where (a fraction of its length), how much, with what. */
type Edit<P> = [kind: number, place: number, length: number, piece: P]

const MAX_CHANGES = 5

/** What parsers fall over, wherever it stands. */
const NASTY = [
  '\0',
  '\r\n',
  '\n',
  ' ',
  '\t',
  '"',
  "'",
  '\\',
  '/',
  '..',
  '%',
  '%00',
  '%ff',
  '%E2%82',
  ',',
  ';',
  ':',
  '=',
  '&',
  '?',
  '#',
  '@',
  '[',
  ']',
  '{',
  '}',
  '-',
  '--',
  '+',
  '.',
  '*',
  '0',
  '-0',
  '1e999',
  '99999999999999999999',
  '0x7f',
  'null',
  'true',
  '__proto__',
  'constructor',
  'é',
  'İ',
  '\u202e',
  '\ufeff',
  '\ud800',
  '😀',
  'a'.repeat(300),
  '['.repeat(1200),
  '(((((((((((((',
]

/** One of the texts with some changes, for which `words` are used, too. */
export function mutatedTexts(
  texts: string[],
  words: string[] = [],
  maxChanges = MAX_CHANGES,
): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...NASTY, ...words) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 4 }) },
  )
  return fc.tuple(fc.constantFrom(...texts), edits(piece, maxChanges)).map(([text, changes]) => {
    let changed = text
    for (const [kind, place, length, inserted] of changes) {
      const at = Math.floor((place / 0xffff) * changed.length)
      const before = changed.slice(0, at)
      const cut = changed.slice(at, at + length)
      const after = changed.slice(at + length)
      if (kind === 0) changed = before + inserted + cut + after
      else if (kind === 1) changed = before + inserted + after
      else if (kind === 2) changed = before + after
      else if (kind === 3) changed = before + cut + cut + cut + after
      else changed = before
    }
    return changed
  })
}

/** One of the files with some changes. */
export function mutatedBytes(files: Buffer[], maxChanges = MAX_CHANGES): fc.Arbitrary<Buffer> {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(...NASTY.slice(0, -3)).map((text) => Buffer.from(text)),
  )
  return fc.tuple(fc.constantFrom(...files), edits(piece, maxChanges)).map(([file, changes]) => {
    let changed = Buffer.from(file)
    for (const [kind, place, length, inserted] of changes) {
      const at = Math.floor((place / 0xffff) * changed.length)
      if (kind === 0 || kind === 1) {
        // In place, so that all behind it stays where it was.
        changed.set(inserted.subarray(0, changed.length - at), at)
      } else if (kind === 2) {
        changed = Buffer.concat([changed.subarray(0, at), inserted, changed.subarray(at)])
      } else if (kind === 3) {
        changed = Buffer.concat([changed.subarray(0, at), changed.subarray(at + length)])
      } else {
        changed = changed.subarray(0, at)
      }
    }
    return changed
  })
}

function edits<P>(piece: fc.Arbitrary<P>, maxLength: number): fc.Arbitrary<Edit<P>[]> {
  return fc.array(fc.tuple(fc.nat(4), fc.nat(0xffff), fc.nat(20), piece), { maxLength })
}
