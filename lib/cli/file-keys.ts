/** Which key of the configuration file a flag stands for: the flag goes before it. */
import type { Override } from '../config/overrides.ts'
import { numberFlags } from './option-tables.ts'
import { readTokenFile } from './token-file.ts'

const keyOf: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ['listen', ['listeners']],
  ['upstream', ['upstreams']],
  ['workers', ['workers']],
  ['half-closed-clients', ['halfClosedClients']],
  ['socket-access', ['socketAccess']],
  ['reuse-after-body', ['reuseAfterBody']],
  ['via', ['via']],
  ['no-via', ['via']],
  ['forwarded', ['forwarded']],
  ['log-level', ['log', 'level']],
  ['log-format', ['log', 'format']],
  ['access-log', ['accessLog', 'destination']],
  ['admin', ['admin', 'address']],
  ['admin-token-file', ['admin', 'token']],
  ['admin-public', ['admin', 'public']],
  ['access-log-format', ['accessLog', 'format']],
  ['access-log-template', ['accessLog', 'template']],
  ['access-log-escape', ['accessLog', 'escape']],
  ['access-log-sample', ['accessLog', 'sample']],
  ['access-log-redact-query', ['accessLog', 'redactQuery']],
  ...numberFlags.map(({ name, section, key }): [string, readonly string[]] => [name, [section, key]]),
])

const lists: ReadonlySet<string> = new Set(['listen', 'upstream', 'access-log-redact-query'])

/** `values` are flags and variables by the name of the flag, `shown` is what each was given as. What stands for no key is left out. */
export function toOverrides(values: ReadonlyMap<string, readonly string[]>, shown: (name: string) => string): Override[] {
  return [...values].flatMap(([name, texts]): Override[] => {
    const steps = keyOf.get(name)
    if (steps === undefined) return []
    const override = { steps, value: valueOf(name, texts), shown: shown(name) }
    // A template says of itself what the format is.
    if (name === 'access-log-template' && !values.has('access-log-format'))
      return [override, { steps: ['accessLog', 'format'], value: 'template', shown: shown(name) }]
    return [override]
  })
}

function valueOf(name: string, texts: readonly string[]): Override['value'] {
  if (lists.has(name)) return texts
  const [text = ''] = texts
  switch (name) {
    case 'no-via':
      return ''
    case 'admin-public':
      return true
    case 'admin-token-file':
      return readTokenFile(text)
    default:
      return text
  }
}
