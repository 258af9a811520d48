/** A view of settings under the names of those who use them: what it says follows the settings. */
export type LiveView<C, N extends Record<string, keyof C>> = { readonly [K in keyof N]: C[N[K]] }

/**
 * Returns an object that says of each name what the setting behind it is at the time of reading. A
 * reload changes the settings in place; a copy of them (`{ ...config }`) would not follow.
 */
export function live<C extends object, N extends Record<string, keyof C>>(
  config: C,
  names: N,
): LiveView<C, N> {
  const view = {}
  for (const [name, setting] of Object.entries(names)) {
    Object.defineProperty(view, name, { enumerable: true, get: () => config[setting] })
  }
  return view as LiveView<C, N>
}

/**
 * Returns `parts` with all settings beside them, as `live` does under their own names. A part goes
 * before a setting of its name, and is read anew each time where it is a getter.
 */
export function withSettings<C extends object, P extends object>(
  config: C,
  parts: P,
): Omit<C, keyof P> & P {
  const keys = Object.keys(config).filter((key) => !Object.hasOwn(parts, key))
  const names = Object.fromEntries(keys.map((key) => [key, key as keyof C]))
  const all = Object.defineProperties(live(config, names), Object.getOwnPropertyDescriptors(parts))
  return all as unknown as Omit<C, keyof P> & P
}
