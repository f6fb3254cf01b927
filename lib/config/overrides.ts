/** Flags and variables of the environment as values of the file, which they go before: each stands for one key. */
import { ConfigError } from './problem.ts'

export interface Override {
  /** The key of the file that it stands for. */
  readonly steps: readonly string[]
  /** As it was written. */
  readonly value: string | boolean | readonly string[]
  /** Where it came from: `--workers`, `EPROXY_WORKERS`. */
  readonly shown: string
}

/** The name of the group that servers belong to which are given by a flag alone. */
export const flagGroupName = 'default'

/** Sections that may be written as one value: of which key it is. */
const shortForms: Readonly<Record<string, string>> = { accessLog: 'destination', admin: 'address' }

type Section = Record<string, unknown>

/** The data with the overrides in it; the data that was given is not changed. `shown` is put where it belongs by `at`. */
export function applyOverrides(data: unknown, overrides: readonly Override[]): unknown {
  if (overrides.length === 0 || !isSection(data)) return data
  let result: Section = data
  for (const override of overrides) result = apply(result, override)
  return result
}

function apply(data: Section, override: Override): Section {
  const { steps, value } = override
  const [key = '', inner] = steps
  if (key === 'listeners') return { ...data, listeners: placeAddresses(data['listeners'], value as readonly string[]) }
  if (key === 'upstreams') return { ...data, upstreams: placeServers(data['upstreams'], override) }
  if (inner === undefined) return { ...data, [key]: value }
  const section = data[key]
  // A short form gives its value to the key that it stands for; without one, the section begins here.
  const short = shortForms[key]
  const base: Section = isSection(section) ? section : typeof section === 'string' && short !== undefined ? { [short]: section } : {}
  return { ...data, [key]: { ...base, [inner]: value } }
}

/** An address takes the place of one of the file's, and has the settings of that; listeners of the file beyond them are not opened. */
function placeAddresses(listeners: unknown, addresses: readonly string[]): unknown[] {
  const rows: readonly unknown[] = Array.isArray(listeners) ? listeners : []
  return addresses.map((address, index) => {
    const row = rows[index]
    return isSection(row) ? { ...row, address } : address
  })
}

function placeServers(upstreams: unknown, { value, shown }: Override): unknown {
  const names = isSection(upstreams) ? Object.keys(upstreams) : []
  if (names.length > 1)
    throw new ConfigError([
      {
        path: shown,
        line: 0,
        column: 0,
        message: `the file has ${names.length} groups of servers (${names.join(', ')}); which one is meant cannot be said by a flag`,
      },
    ])
  const [name = flagGroupName] = names
  const row = isSection(upstreams) ? upstreams[name] : undefined
  return { [name]: isSection(row) ? { ...row, servers: value } : value }
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The override that decided about the value at `steps`. */
export function overrideAt(overrides: readonly Override[], steps: readonly PropertyKey[]): Override | undefined {
  return overrides.findLast((override) => {
    const [key] = override.steps
    if (key === 'listeners') return steps[0] === 'listeners' && (steps.length < 3 || steps[2] === 'address')
    if (key === 'upstreams')
      return steps[0] === 'upstreams' && (steps.length < 3 || (steps[2] === 'servers' && (steps.length < 5 || steps[4] === 'address')))
    return override.steps.every((step, index) => step === steps[index])
  })
}
