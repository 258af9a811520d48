import { parseAlertTypes, parseWebhookUrl } from '../../alerts/settings-values.ts'
import { optional, seconds } from '../setting.ts'
import { secretText } from '../values.ts'

export const ALERTS = {
  webhookUrl: optional('WEBHOOK_URL', 'URL', parseWebhookUrl, {
    none: 'no alerts are sent',
    example: 'https://alerts.example/gateway',
    about:
      'Where alerts are sent by POST: failed deploys, a PostgreSQL that is gone and others ([alerts](alerts.md)).',
    edge: '`https://` or `http://`, without a user and a password. Redirects are not followed.',
    secret: true,
  }),
  webhookSecret: optional('WEBHOOK_SECRET', 'text', secretText, {
    none: 'alerts are not signed',
    protects: true,
    about: 'The key of the HMAC-SHA256 in the header `x-gateway-signature` of each alert.',
    edge: 'At least 32 characters, such as of `openssl rand -hex 32`. Needs WEBHOOK_URL.',
    secret: true,
  }),
  webhookEvents: optional('WEBHOOK_EVENTS', 'types, with commas between', parseAlertTypes, {
    none: 'all types',
    example: 'deploy.failed,postgres,replica',
    about: 'The types of alerts that are sent, or the first parts of their names.',
    edge: 'An unknown name stops the start.',
  }),
  webhookRepeatMs: seconds('WEBHOOK_REPEAT_SECS', 14_400, {
    about: 'How long a condition that lasts, or comes again, is not told anew.',
  }),
}
