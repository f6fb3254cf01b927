/**
 * Edits for the heads that fuzz targets encode: which fields are dropped, added, and added where there are none; and the same done once more
 * by somebody who edits a list of fields line by line.
 */
import { FieldEdits, type MessageHead } from '../native-free-parser/index.ts'
import type { SeededRandom } from '../test/support/seeded-random.ts'

export interface FieldPlan {
  /** In lower case. */
  readonly dropped: readonly string[]
  readonly defaults: readonly (readonly [name: string, value: string])[]
  readonly addedFields: readonly (readonly [name: string, value: string])[]
  readonly takesUnderscores: boolean
  readonly edits: FieldEdits | null
  readonly added: string
}

export const noPlan: FieldPlan = Object.freeze({
  dropped: [],
  defaults: [],
  addedFields: [],
  takesUnderscores: false,
  edits: null,
  added: '',
})

/** What configurations cannot name is not edited here, either. */
const untouchable =
  /^(?:host|content-length|transfer-encoding|trailer|te|connection|keep-alive|upgrade|http2-settings|expect|max-forwards|via|date|proxy-.*)$/i

const names = ['X-A', 'x-added', 'Server', 'Cookie', 'Set-Cookie', 'Accept', 'X-Forwarded-For', 'X-Long-Name-Of-A-Field', 'a']
const values = ['', 'x', 'a, b; c="d"', '\\ \t.', '\xe9']

/** Half of the names are those of fields of the head. */
export function makeFieldPlan(head: MessageHead, random: SeededRandom, takesUnderscores: boolean): FieldPlan {
  const pickName = (): string => {
    const own = head.count > 0 && random.chance(0.5) ? head.name(random.integer(0, head.count - 1)) : ''
    const name = own === '' || untouchable.test(own) ? random.pick(names) : own
    return takesUnderscores && random.chance(0.2) ? name.replaceAll('_', '-') : name
  }
  const pickNames = (): string[] => Array.from({ length: random.integer(0, 3) }, pickName).filter((name) => !untouchable.test(name))
  const dropped = pickNames().map((name) => name.toLowerCase())
  const isDropped = (name: string): boolean => dropped.some((other) => matches(name, other, takesUnderscores))
  const defaults = pickNames()
    .filter((name, index, all) => !isDropped(name) && all.findIndex((other) => other.toLowerCase() === name.toLowerCase()) === index)
    .map((name) => [name, random.pick(values)] as const)
  const addedFields = pickNames().map((name) => [name, random.pick(values)] as const)
  const toLine = ([name, value]: readonly [string, string]): string => `${name}: ${value}\r\n`
  return {
    dropped,
    defaults,
    addedFields,
    takesUnderscores,
    edits: new FieldEdits(
      dropped,
      defaults.map((field) => ({ name: field[0], line: toLine(field) })),
      takesUnderscores,
    ),
    added: addedFields.map(toLine).join(''),
  }
}

/** `fields`: name and value, alternating. Returns those that stay, and those that leave behind all others. */
export function expectedEdits(
  fields: readonly string[],
  plan: FieldPlan,
): { readonly kept: readonly string[]; readonly added: readonly string[] } {
  const kept: string[] = []
  const seen = new Set<string>()
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    if (plan.dropped.some((other) => matches(name, other, plan.takesUnderscores))) continue
    kept.push(name, fields[i + 1]!)
    seen.add(name.toLowerCase())
  }
  const missing = plan.defaults.filter(([name]) => !seen.has(name.toLowerCase()))
  return { kept, added: [...missing, ...plan.addedFields].flatMap(([name, value]) => [name, trim(value)]) }
}

function matches(name: string, dropped: string, takesUnderscores: boolean): boolean {
  const lower = name.toLowerCase()
  if (lower === dropped) return true
  return (
    takesUnderscores &&
    lower.length === dropped.length &&
    lower.split('').every((character, at) => character === dropped[at] || (character === '_' && dropped[at] === '-'))
  )
}

function trim(value: string): string {
  return value.replace(/^[ \t]+|[ \t]+$/g, '')
}
