/** Response fields that protect browsers from what a page may do, for origins that do not set them themselves, and what is said in Server. */
import type { FieldDefault } from '../../native-free-parser/index.ts'
import type { SecurityFieldOptions } from '../core/service-options.ts'
import { findValueFault } from './field-edits.ts'

/** What the profile `edge` sets. */
export const edgeSecurityFields: SecurityFieldOptions = Object.freeze({
  contentTypeOptions: true,
  referrerPolicy: 'strict-origin-when-cross-origin',
  frameOptions: 'SAMEORIGIN',
  frameAncestors: '',
  strictTransportSecurity: 'max-age=31536000',
})

/** The fields for a response to a request that came over TLS, or did not. RFC 6797 section 7.2: without TLS there is no Strict-Transport-Security. */
export function securityDefaults(options: SecurityFieldOptions, isSecure: boolean): readonly FieldDefault[] {
  const rows: readonly (readonly [name: string, value: string])[] = [
    ['X-Content-Type-Options', options.contentTypeOptions ? 'nosniff' : ''],
    ['Referrer-Policy', options.referrerPolicy],
    ['X-Frame-Options', options.frameOptions],
    ['Content-Security-Policy', options.frameAncestors === '' ? '' : `frame-ancestors ${options.frameAncestors}`],
    ['Strict-Transport-Security', isSecure ? options.strictTransportSecurity : ''],
  ]
  return rows.filter(([, value]) => value !== '').map(([name, value]) => ({ name, line: `${name}: ${value}\r\n` }))
}

// oxfmt-ignore
const referrerPolicies: ReadonlySet<string> = new Set([
  'no-referrer', 'no-referrer-when-downgrade', 'origin', 'origin-when-cross-origin', 'same-origin', 'strict-origin',
  'strict-origin-when-cross-origin', 'unsafe-url',
])

/** What is wrong with these options, in words; '' when nothing is. */
export function findSecurityFault({ referrerPolicy, frameAncestors, strictTransportSecurity }: SecurityFieldOptions): string {
  for (const policy of referrerPolicy.split(',')) {
    if (referrerPolicy !== '' && !referrerPolicies.has(policy.trim()))
      return `referrerPolicy: ${JSON.stringify(policy.trim())} is none of ${[...referrerPolicies].join(', ')}`
  }
  if (/[;,{}]/.test(frameAncestors)) return 'frameAncestors takes sources and white space only, no further directive'
  const fault = findValueFault(frameAncestors, 'frameAncestors')
  if (fault !== '') return fault
  // RFC 6797 section 6.1: the one directive that has to be there.
  if (strictTransportSecurity !== '' && !/^max-age=[0-9]{1,12}(?:; ?(?:includeSubDomains|preload))*$/.test(strictTransportSecurity))
    return 'strictTransportSecurity is max-age=SECONDS, and behind it ; includeSubDomains or ; preload'
  return ''
}
