/** Settings that are of the process, and not of the proxy in it: another value takes another process. */
import type { Settings } from './flags.ts'

/** What a running service cannot change; '' when there is nothing of that. */
export function findFixed(before: Settings, after: Settings, keys: readonly (keyof Settings)[]): string {
  const changed = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
  return changed.length === 0
    ? ''
    : `${changed.map((key) => settingNames[key]).join(' and ')} cannot change while it runs: restart it for that`
}

const settingNames: Readonly<Record<keyof Settings, string>> = {
  listen: 'listeners',
  options: 'options',
  workers: 'workers',
  supervision: 'supervision',
  logLevel: 'log.level',
  logFormat: 'log.format',
  accessLog: 'accessLog',
  admin: 'admin',
}
