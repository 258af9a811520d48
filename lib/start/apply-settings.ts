import { type Config, logSettings } from '../config.ts'
import type { Gateway } from '../gateway-parts.ts'
import type { Listening } from '../http/listener/listen.ts'
import { renewTls } from '../http/listener/tls.ts'
import { forgetPeers } from '../http/request.ts'
import { plansFrom, prepareExplain } from '../tenancy/roles/explain-calls.ts'
import { fitCapacity } from './parts.ts'

/**
 * Returns the function that puts other settings into force.
 * @param gateway the parts for the server `main`
 */
export function applier(gateway: Gateway, listening: Listening): (settings: Config) => void {
  const { config, log, buffered, alerts, longAnswers, servers } = gateway
  let explained = Promise.resolve()
  return ({ archive, tls, ...settings }) => {
    const { callableSchemas, statementTimeoutMs, warnings: known } = config
    const plansWere = plansFrom(config)
    // In place: all parts read their settings there.
    Object.assign(config.archive, archive)
    Object.assign(config, settings)
    log.configure(logSettings(config))
    for (const warning of settings.warnings) if (!known.includes(warning)) log.warn(warning)
    renewTls(tls, listening, log, (validUntil) => alerts.certificate.note(validUntil))
    forgetPeers()
    longAnswers.judge()
    listening.limit(config)
    buffered.capacity = config.maxBufferedBytes
    for (const one of servers.open()) {
      one.usage.slow.slowMs = config.slowCallMs || Infinity
      if (`${callableSchemas}` !== `${config.callableSchemas}`) one.calls.forgetAll()
      if (statementTimeoutMs !== config.statementTimeoutMs) renewSessions(one)
      if (plansWere !== plansFrom(config)) {
        // One after the other: the last has the last settings.
        explained = explained
          .then(() => prepareExplain(one))
          .then(
            () => renewSessions(one),
            ({ message }) => {
              log.warn(`The plans of slow calls are asked for as before: ${message}`)
            },
          )
      }
      fitCapacity(one).then(
        (cap) => one.gateways.setCap(cap),
        (error) => log.warn(`MAX_TOTAL_CONNECTIONS was not changed: ${error.message}`),
      )
    }
  }
}

/** Sessions have the settings of their role, and the timeout, that they were opened with. */
function renewSessions({ pools, replicas }: Gateway): void {
  for (const each of [pools, ...(replicas?.all() ?? [])]) each.renewAll()
}
