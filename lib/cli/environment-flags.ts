/**
 * Flags by way of the environment: --timeout-request-head is EPROXY_TIMEOUT_REQUEST_HEAD. Values are texts as on the command line, several
 * ones parted by commas. It reads; what a value means is for its flag to say.
 */
import { suggest } from '../core/suggest.ts'
import type { Flag } from './command-line.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface EnvironmentFlags {
  /** By the name of the flag. */
  readonly values: ReadonlyMap<string, readonly string[]>
  /** Variables that look like ours and are none. */
  readonly warnings: readonly string[]
}

const prefix = 'EPROXY_'

/** Kubernetes sets these in every container of a namespace that has a Service with our name. */
const serviceLink = /^EPROXY_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/

export function variableOf(flagName: string): string {
  return prefix + flagName.toUpperCase().replaceAll('-', '_')
}

/** A switch is a thing of the moment, and has no variable. */
export function readEnvironment(environment: Environment, flags: readonly Flag[]): EnvironmentFlags {
  const flagOf = new Map(flags.filter(({ isSwitch }) => isSwitch !== true).map((flag) => [variableOf(flag.name), flag]))
  const values = new Map<string, readonly string[]>()
  const warnings: string[] = []
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(prefix) || value === undefined) continue
    const flag = flagOf.get(name)
    if (flag !== undefined) values.set(flag.name, flag.isRepeatable === true ? value.split(',').map((part) => part.trim()) : [value])
    else if (!serviceLink.test(name)) {
      const near = suggest(name, [...flagOf.keys()])
      warnings.push(`the environment has ${name}, which means nothing${near === undefined ? '' : `; did you mean ${near}?`}`)
    }
  }
  return { values, warnings }
}
