/**
 * The schema as a list of keys, for messages, for the table in the documentation, and for editors (JSON Schema). It is read from the JSON
 * Schema that zod writes: that is a published form, and the insides of a schema are not.
 */
import { z } from 'zod'
import { nameOfPattern } from './leaves.ts'
import { fileSchema } from './schema.ts'

interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean | JsonSchema
  readonly propertyNames?: JsonSchema
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly enum?: readonly unknown[]
  readonly const?: string | number | boolean
  readonly default?: string | number | boolean | object
  readonly description?: string
  readonly pattern?: string
}

const schemaId = 'https://json-schema.org/draft/2020-12/schema'

let made: JsonSchema | undefined

/** What an editor is given to know the file. */
export function jsonSchema(): JsonSchema {
  made ??= { ...(z.toJSONSchema(fileSchema, { io: 'input' }) as JsonSchema), ...{ $schema: schemaId, title: 'eproxy-raw' } }
  return made
}

/** Keys that may stand in the section at `steps`. */
export function keysAt(steps: readonly PropertyKey[]): readonly string[] {
  let found: JsonSchema[] = forms(jsonSchema())
  for (const step of steps) found = found.flatMap((schema) => child(schema, step)).flatMap(forms)
  return [
    ...new Set(
      found.flatMap(({ properties = {}, propertyNames }) => [...Object.keys(properties), ...(propertyNames?.enum ?? []).map(String)]),
    ),
  ]
}

/** A value may be written in several forms. */
function forms(schema: JsonSchema): JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(forms)
}

function child({ properties, additionalProperties, items }: JsonSchema, step: PropertyKey): JsonSchema[] {
  if (typeof step === 'number') return items === undefined ? [] : [items]
  const own = properties?.[String(step)]
  if (own !== undefined) return [own]
  return typeof additionalProperties === 'object' ? [additionalProperties] : []
}

export interface KeyRow {
  /** `upstreams.NAME.servers[].weight`. */
  readonly key: string
  readonly kind: string
  readonly defaultText: string
  readonly doc: string
}

/** Sections whose keys are the rows of a table of options, which has a table of its own in the documentation. */
const tabled: ReadonlySet<string> = new Set(['timeouts', 'limits', 'pool', 'desync', 'supervision'])

/** Every key of the file, in its order. */
export function listKeys(): KeyRow[] {
  return listSection(jsonSchema(), '')
}

function listSection(schema: JsonSchema, prefix: string): KeyRow[] {
  const rows: KeyRow[] = []
  for (const [name, own] of Object.entries(schema.properties ?? {})) {
    const key = prefix === '' ? name : `${prefix}.${name}`
    rows.push({
      key,
      kind: describeKind(own),
      defaultText: own.default === undefined ? '' : describeDefault(own.default),
      doc: own.description ?? '',
    })
    if (!tabled.has(name)) rows.push(...listInner(own, key))
  }
  return rows
}

/** What stands below a key: of the forms that it may have, the one with keys. */
function listInner(schema: JsonSchema, key: string): KeyRow[] {
  const [section] = forms(schema).filter(
    ({ properties, additionalProperties }) => properties !== undefined || typeof additionalProperties === 'object',
  )
  const items = forms(schema).flatMap(({ items: item }) => (item === undefined ? [] : [item]))
  if (section?.properties !== undefined && Object.keys(section.properties).length > 1) return listSection(section, key)
  if (typeof section?.additionalProperties === 'object') return listInner(section.additionalProperties, `${key}.NAME`)
  return items.slice(0, 1).flatMap((item) => listInner(item, `${key}[]`))
}

function describeKind(schema: JsonSchema): string {
  const kinds = forms(schema).flatMap((form): string[] => {
    const named = nameOfPattern.get(form.pattern ?? schema.pattern ?? '')
    if (named !== undefined) return [named]
    if (form.enum !== undefined) return form.enum.map((value) => (value === '' ? "''" : String(value)))
    if (form.const !== undefined) return [String(form.const)]
    if (form.items !== undefined) return ['list']
    if (form.properties !== undefined || form.additionalProperties !== undefined) return ['section']
    return [form.type ?? []].flat().map((type) => ({ string: 'text', integer: 'number', boolean: 'true, false' })[type] ?? type)
  })
  return [...new Set(kinds)].join(', ')
}

function describeDefault(value: string | number | boolean | object): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ')
  if (typeof value === 'object') return ''
  return value === '' ? "''" : String(value)
}
