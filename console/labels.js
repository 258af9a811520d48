/**
 * Parses labels as a person types them: `plan:pro, region:eu`.
 * @param {string} text
 * @returns {Record<string, string>}
 * @throws {Error} naming the word that is not a label
 */
export function parseLabels(text) {
  const words = text.split(/[\s,]+/).filter((word) => word !== '')
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf(':')
      if (at < 1) throw new Error(`"${word}" is not a label such as plan:pro`)
      return [word.slice(0, at), word.slice(at + 1)]
    }),
  )
}

/**
 * Returns labels as a person types them.
 * @param {Record<string, string>} labels
 */
export function labelsText(labels) {
  return labelWords(labels).join(', ')
}

/**
 * Returns each label as one word.
 * @param {Record<string, string>} labels
 */
export function labelWords(labels) {
  return Object.entries(labels).map(([name, value]) => `${name}:${value}`)
}
