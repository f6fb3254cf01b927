/**
 * What the schema objects to, in words for the person who wrote the file: one objection for each mistake, what was found and what was
 * expected. Of the forms in which a value may be written, the one that was meant is found by its kind.
 */
import type { z } from 'zod'
import { suggest } from '../core/suggest.ts'
import type { Objection } from './complete.ts'
import { show } from './leaves.ts'

type Issue = z.core.$ZodIssue
type Steps = readonly PropertyKey[]

/** `keysAt` lists the keys that may stand in the section at `steps`. */
export type KeysAt = (steps: Steps) => readonly string[]

export function toObjections(issues: readonly Issue[], data: unknown, keysAt: KeysAt, base: Steps = []): Objection[] {
  return issues.flatMap((issue) => describe(issue, [...base, ...issue.path], data, keysAt))
}

function describe(issue: Issue, steps: Steps, data: unknown, keysAt: KeysAt): Objection[] {
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ steps: [...steps, key], isKey: true, message: describeUnknownKey(key, keysAt(steps)) }))
    case 'invalid_union':
      return describeUnion(issue, steps, data, keysAt)
    case 'invalid_key': {
      const [inner] = issue.issues
      const { key, known } = describeKey(inner, steps)
      const near = known === undefined ? undefined : suggest(key, known)
      const message =
        known === undefined
          ? (inner?.message ?? issue.message)
          : `unknown key ${show(key)}${near === undefined ? '' : `; did you mean ${near}?`}`
      return [{ steps, isKey: true, message }]
    }
    case 'invalid_element':
      return toObjections(issue.issues, data, keysAt, steps)
    case 'invalid_type':
      return [{ steps, message: describeType(issue.expected, valueAt(data, steps), steps) }]
    case 'invalid_value': {
      const value = valueAt(data, steps)
      const values = issue.values.map(String)
      const near = typeof value === 'string' ? suggest(value, values) : undefined
      return [{ steps, message: `expected ${list(values)}, not ${show(value)}${near === undefined ? '' : `; did you mean ${near}?`}` }]
    }
    case 'too_small':
      if (issue.origin === 'number')
        return [{ steps, message: `must be ${String(issue.minimum)} or more, not ${show(valueAt(data, steps))}` }]
      if (issue.origin === 'string') return [{ steps, message: 'expected a text that is not empty' }]
      return [{ steps, message: issue.message }]
    case 'too_big':
      if (issue.origin === 'number')
        return [{ steps, message: `must be ${String(issue.maximum)} or less, not ${show(valueAt(data, steps))}` }]
      return [{ steps, message: `must have ${String(issue.maximum)} characters at most` }]
    default:
      return [{ steps, message: issue.message }]
  }
}

function describeKey(inner: Issue | undefined, steps: Steps): { key: string; known: readonly string[] | undefined } {
  return { key: String(steps.at(-1)), known: inner?.code === 'invalid_value' ? inner.values.map(String) : undefined }
}

function describeUnknownKey(key: string, known: readonly string[]): string {
  const near = suggest(key, known) ?? suggest(key.toLowerCase(), known) ?? known.find((name) => sameButForStyle(name, key))
  const hint = near !== undefined ? `did you mean ${near}?` : known.length === 0 ? 'there is none here' : `there are ${listSome(known)}`
  return `unknown key ${show(key)}; ${hint}`
}

function listSome(names: readonly string[]): string {
  const shown = names.slice(0, 16)
  return shown.length === names.length ? shown.join(', ') : `${shown.join(', ')} and ${names.length - shown.length} more`
}

/** `request_head`, `request-head` and `RequestHead` are requestHead in other tongues, and `intervalMs` is interval with its unit. */
function sameButForStyle(name: string, key: string): boolean {
  const plain = (text: string): string => text.toLowerCase().replace(/[-_]/g, '')
  return plain(name) === plain(key) || plain(name) === plain(key).replace(/(?:ms|bytes|s)$/, '')
}

function describeUnion(issue: Extract<Issue, { code: 'invalid_union' }>, steps: Steps, data: unknown, keysAt: KeysAt): Objection[] {
  const value = valueAt(data, steps)
  // A form that is of another kind was not meant.
  const meant = issue.errors.filter(
    (issues) => !issues.some(({ code, path }) => path.length === 0 && (code === 'invalid_type' || code === 'invalid_value')),
  )
  if (meant.length === 0) {
    // Of unions in unions the inner one may know more.
    const nested = issue.errors.flat().filter((inner) => inner.code === 'invalid_union' && inner.errors.length > 0)
    const found = nested
      .flatMap((inner) => describe(inner, [...steps, ...inner.path], data, keysAt))
      .filter(({ steps: deeper }) => deeper.length > steps.length)
    if (found.length > 0) return found
    return [{ steps, message: `${issue.message}, not ${describeValue(value)}` }]
  }
  const keysOf = (issues: readonly Issue[]): number =>
    issues.reduce((sum, { code, path }) => sum + (path.length === 0 && code === 'unrecognized_keys' ? 10 : 1), 0)
  const [best] = meant.toSorted((a, b) => keysOf(a) - keysOf(b))
  // Where each form is a section with one key, which of them was meant is told by what was expected of all.
  if (meant.length > 1 && best!.some(({ code }) => code === 'unrecognized_keys'))
    return [{ steps, message: `${issue.message}, not ${describeValue(value)}` }]
  return toObjections(best!, data, keysAt, steps)
}

const kinds: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a section of keys and values',
  record: 'a section of keys and values',
  array: 'a list',
}

function describeType(expected: string, value: unknown, steps: Steps): string {
  const wanted = kinds[expected] ?? expected
  if (value === undefined) return `${String(steps.at(-1))} is missing: expected ${wanted}`
  // 8080 and true are texts for people, and values of their own for YAML.
  const hint =
    expected === 'string' && (typeof value === 'number' || typeof value === 'boolean') ? `; write '${String(value)}' in quotes` : ''
  return `expected ${wanted}, not ${describeValue(value)}${hint}`
}

function describeValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object')
    return `a section${Object.keys(value).length === 0 ? '' : ` with ${Object.keys(value).slice(0, 4).map(show).join(', ')}`}`
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  return show(value)
}

function list(values: readonly string[]): string {
  const shown = values.map((value) => (value === '' ? "''" : value))
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`
}

/** Undefined where the data has nothing; where a short form stands, that. */
export function valueAt(data: unknown, steps: Steps): unknown {
  let value = data
  for (const step of steps) {
    if (typeof value !== 'object' || value === null) return typeof step === 'string' ? value : undefined
    if (Array.isArray(value) && typeof step !== 'number') continue
    value = Object.hasOwn(value, step) ? (value as Record<PropertyKey, unknown>)[step] : undefined
  }
  return value
}
