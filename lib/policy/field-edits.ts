/**
 * The fields that a route removes, sets and adds: which of them may be, and what they come to for the encoder of heads. Framing, the fields
 * of one hop and those that HTTP itself acts on are refused here, where a person reads why, and not repaired later.
 */
import { FieldKind, isToken, valueOctets } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import type { FieldEdits } from '../core/service-options.ts'
import { fieldVariables, findUnknownVariable } from './field-template.ts'

export type FieldSide = 'request' | 'response'
export type FieldAction = keyof FieldEdits

const ofTheHop = 'it is for one hop only, and made anew on each'
const ofTheFraming = 'it says where the message ends, and follows from the body'

/** Fields that no route touches, and why. */
// oxfmt-ignore
const untouchable: ReadonlyMap<string, string> = new Map([
  ['content-length', ofTheFraming],
  ['transfer-encoding', ofTheFraming],
  ['trailer', ofTheFraming],
  ['te', ofTheHop],
  ['connection', ofTheHop],
  ['keep-alive', ofTheHop],
  ['proxy-connection', ofTheHop],
  ['upgrade', ofTheHop],
  ['http2-settings', ofTheHop],
  ['proxy-authorization', ofTheHop],
  ['proxy-authenticate', ofTheHop],
  ['proxy-authentication-info', ofTheHop],
  ['via', 'loops are found by it; its name is the option via'],
])
// oxfmt-ignore
const untouchableInRequests: ReadonlyMap<string, string> = new Map([
  ['host', "what is sent there is the option host of the group"],
  ['expect', 'the client waits for what it announces'],
  ['max-forwards', 'it is counted down on the way'],
])
// oxfmt-ignore
const untouchableInResponses: ReadonlyMap<string, string> = new Map([
  ['date', 'a response has exactly one, of whoever made it'],
  ['proxy-status', 'it tells of this proxy what went wrong'],
])

/** Fields that tell of the client, as bits: where a route says something of one, this is what leaves, and the proxy adds none. */
const forwardedKinds: ReadonlyMap<string, FieldKind> = new Map([
  ['forwarded', FieldKind.FORWARDED],
  ['x-forwarded-for', FieldKind.X_FORWARDED_FOR],
  ['x-forwarded-host', FieldKind.X_FORWARDED_HOST],
  ['x-forwarded-port', FieldKind.X_FORWARDED_PORT],
  ['x-forwarded-proto', FieldKind.X_FORWARDED_PROTO],
])

/** What is wrong with one edit, in words for whoever wrote it; '' when nothing is. `value`: '' for `remove`. */
export function findEditFault(side: FieldSide, action: FieldAction, name: string, value: string): string {
  if (!isToken(name, 0, name.length)) return `${JSON.stringify(name)} is not a field name: letters, digits and !#$%&'*+-.^_\`|~`
  const lower = name.toLowerCase()
  const reason = untouchable.get(lower) ?? (side === 'request' ? untouchableInRequests : untouchableInResponses).get(lower)
  if (reason !== undefined) return `${name} cannot be changed: ${reason}`
  if (action === 'remove') return ''
  if (action === 'add' && side === 'request' && forwardedKinds.has(lower))
    return `${name} cannot be added: there would be two that can be read differently; write it under set`
  return findValueFault(value, `the value of ${name}`)
}

/** What is wrong with a field value, variables and all; '' when nothing is. `place`: what it is called to people. */
export function findValueFault(value: string, place: string): string {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code > 0x7e || valueOctets[code] !== 1)
      return `${place} has ${code < 0x20 || code === 0x7f ? 'a control character' : 'a character outside ASCII'} at position ${i + 1}`
  }
  if (/^[ \t]|[ \t]$/.test(value)) return `${place} begins or ends with white space, which is no part of a value`
  const unknown = findUnknownVariable(value)
  if (unknown !== '') return `{${unknown}} in ${place} is not known; there are ${fieldVariables.map((name) => `{${name}}`).join(', ')}`
  return ''
}

/** Names, in lower case, of whatever these edits say something of. */
export function editedNames({ remove, set, add }: FieldEdits): ReadonlySet<string> {
  return new Set([...remove, ...Object.keys(set), ...Object.keys(add)].map((name) => name.toLowerCase()))
}

/** Names whose fields do not leave as they came. */
export function droppedNames({ remove, set }: FieldEdits): readonly string[] {
  return [...remove, ...Object.keys(set)]
}

/** Whole lines, with variables not yet filled in. */
export function addedLines({ set, add }: FieldEdits): string {
  let lines = ''
  for (const [name, value] of [...Object.entries(set), ...Object.entries(add)]) lines += `${name}: ${value}\r\n`
  return lines
}

/** The fields of the client's origin that the names are: bit 1 << FieldKind for each. */
export function namedForwardedBits(names: ReadonlySet<string>): number {
  let bits = 0
  for (const [name, kind] of forwardedKinds) if (names.has(name)) bits |= 1 << kind
  return bits
}

/** Throws ProxyError ERR_EPROXY_OPTION for the first edit that cannot be. `place`: where it stands, for people. */
export function checkFieldEdits(side: FieldSide, edits: FieldEdits, place: string): void {
  const seen = new Map<string, FieldAction>()
  const check = (action: FieldAction, name: string, value: string): void => {
    const lower = name.toLowerCase()
    const before = seen.get(lower)
    const fault = findEditFault(side, action, name, value) || (before === action ? `${name} stands there twice` : '')
    if (fault !== '') throw new ProxyError('ERR_EPROXY_OPTION', `${place}.${action}: ${fault}`)
    seen.set(lower, action)
  }
  for (const name of edits.remove) check('remove', name, '')
  for (const [name, value] of Object.entries(edits.set)) check('set', name, value)
  for (const [name, value] of Object.entries(edits.add)) check('add', name, value)
}
