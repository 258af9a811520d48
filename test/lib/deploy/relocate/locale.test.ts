import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkLocale, readLocale } from '../../../../lib/deploy/relocate/locale.ts'
import { connectTo, uniqueName } from '../../../helpers/gateway.ts'

const sql = connectTo('postgres')
const owner = { platform: 'clinic', tenantId: 'north', schema: null }
const name = uniqueName('locale')
const major = Math.floor((await sql`show server_version_num`)[0]!.server_version_num / 10_000)
const ICU = `encoding 'UTF8' lc_collate 'C' lc_ctype 'C' locale_provider icu`
const KINDS: Record<string, string> = {
  de: `${ICU} icu_locale 'de-DE'`,
  // PostgreSQL 15 keeps it so.
  spelled: `${ICU} icu_locale 'de_DE'`,
  en: `${ICU} icu_locale 'en-US'`,
  libc: `encoding 'UTF8' lc_collate 'C' lc_ctype 'C' locale_provider libc`,
  ...(major >= 16 && { rules: `${ICU} icu_locale 'de-DE' icu_rules '& a < g'` }),
  ...(major >= 17 && {
    builtin: `encoding 'UTF8' lc_collate 'C' lc_ctype 'C' locale_provider builtin builtin_locale 'C.UTF-8'`,
    bytes: `encoding 'UTF8' lc_collate 'C' lc_ctype 'C' locale_provider builtin builtin_locale 'C'`,
  }),
}
beforeAll(async () => {
  for (const [kind, options] of Object.entries(KINDS))
    await sql.unsafe(`create database ${name}_${kind} template template0 ${options}`)
})
afterAll(async () => {
  for (const kind of Object.keys(KINDS)) await sql.unsafe(`drop database if exists ${name}_${kind}`)
  await sql.end()
})

test('a move is refused between databases that sort text differently', async () => {
  const read = (kind: string) => readLocale(sql, `${name}_${kind}`)
  const refusal = async (from: string, to: string) => {
    try {
      checkLocale(owner, await read(from), await read(to))
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }
  for (const kind of Object.keys(KINDS)) expect(await refusal(kind, kind)).toBe('')
  expect(await refusal('de', 'spelled')).toBe('')
  expect(await refusal('de', 'en')).toContain('(locale de-de, there en-us)')
  expect(await refusal('libc', 'en')).toContain(
    '(provider libc, there icu; locale none, there en-us)',
  )
  if (major >= 16) expect(await refusal('rules', 'de')).toContain('(rules & a < g, there none)')
  if (major < 17) return
  expect(await refusal('builtin', 'bytes')).toContain('(locale C.UTF-8, there C)')
  expect(await refusal('builtin', 'libc')).toContain(
    '(provider builtin, there libc; locale C.UTF-8',
  )
})
