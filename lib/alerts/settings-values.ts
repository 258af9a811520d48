import { ALERT_TYPES, type AlertType } from './alert.ts'

/**
 * Parses WEBHOOK_URL.
 * @throws {Error} that says what the text is not, without repeating it: its path may be a secret
 */
export function parseWebhookUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:\/\//i.test(text)) {
    throw new Error('is not a URL that begins with https:// or http://')
  }
  if (url.username !== '' || url.password !== '') {
    throw new Error('has a user or a password in it: WEBHOOK_SECRET signs what is sent')
  }
  if (url.hash !== '') throw new Error('has a fragment (#…), which is not sent')
  return url
}

/**
 * Parses WEBHOOK_EVENTS: types, or their first parts, such as `deploy`.
 * @throws {Error} for a name that fits no type
 */
export function parseAlertTypes(text: string): AlertType[] {
  const names = text.split(',').map((name) => name.trim())
  return names.flatMap((name) => {
    const found = ALERT_TYPES.filter((type) => type === name || type.startsWith(`${name}.`))
    if (found.length > 0) return found
    throw new Error(`"${name}" is not one of ${ALERT_TYPES.join(', ')}`)
  })
}
