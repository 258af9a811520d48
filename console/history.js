import { signal } from '@preact/signals'
import { onEvent } from './events.js'

/** Overviews that are kept: ten minutes, of one a second. */
const KEPT = 600

/** The last overviews of this gateway, the oldest first. */
export const history = signal(/** @type {Record<string, any>[]} */ ([]))

onEvent('overview', (overview) => {
  history.value = [...history.value.slice(1 - KEPT), overview]
})
