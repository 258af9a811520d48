const MARK = 'Database Gateway'

/** Content of the comment on a role that a gateway created. */
export interface RoleMark {
  /** Fingerprint of the secret that the password derives from; null if the comment records none. */
  fingerprint: string | null
  /**
   * Id of the catalog that the role belongs to; null if an older gateway, which did not record it,
   * wrote the comment.
   */
  catalog: string | null
}

/** Returns the comment for a role: the fingerprint of its password's secret, and its catalog. */
export function writeMark(fingerprint: string, catalog: string): string {
  return `${MARK}, ${fingerprint}, catalog ${catalog}`
}

/** Reads the comment of a role. Returns undefined if no gateway created the role. */
export function readMark(comment: string | null): RoleMark | undefined {
  const match = /^Database Gateway(?:, ([\w-]+))?(?:, catalog ([0-9a-f-]{36}))?$/.exec(
    comment ?? '',
  )
  if (!match) return undefined
  return { fingerprint: match[1] ?? null, catalog: match[2] ?? null }
}
