const MARK = 'Database Gateway'

/** What the comment of a role that a gateway made says. */
export interface RoleMark {
  /** Of the secret that its password goes with; null: of none. */
  fingerprint: string | null
  /** The catalog whose platform it is; null: of a gateway of before, which did not say so. */
  catalog: string | null
}

/** The comment of a role: whose it is, and which secret its password goes with. */
export function writeMark(fingerprint: string, catalog: string): string {
  return `${MARK}, ${fingerprint}, catalog ${catalog}`
}

/** Undefined where no gateway made the role. */
export function readMark(comment: string | null): RoleMark | undefined {
  const match = /^Database Gateway(?:, ([\w-]+))?(?:, catalog ([0-9a-f-]{36}))?$/.exec(
    comment ?? '',
  )
  if (!match) return undefined
  return { fingerprint: match[1] ?? null, catalog: match[2] ?? null }
}
