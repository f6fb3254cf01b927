/**
 * The text of a field value, or of several lines, in which names in braces stand for facts of a request. Read once, filled in for every
 * request. Each fact has a grammar that leaves no room for a line end, and is checked against it where it comes in: what comes out is
 * a field value whatever a client sends.
 */

/** What can stand in braces: facts of the request that a field may tell. */
export interface FieldVariables {
  client_ip: string
  client_port: string
  host: string
  request_id: string
  route: string
  upstream: string
  scheme: string
}

export type FieldVariable = keyof FieldVariables

/** In the order in which they are named to people. */
export const fieldVariables: readonly FieldVariable[] = Object.freeze([
  'client_ip',
  'client_port',
  'host',
  'request_id',
  'route',
  'upstream',
  'scheme',
])

/** Text and variables by turns, text first; text alone is the usual case. */
export interface FieldTemplate {
  readonly texts: readonly string[]
  readonly variables: readonly FieldVariable[]
}

/** Braces with anything else in them are text: JSON is a field value, too. */
const variablePattern = /\{([a-z][a-z_]*)\}/g

/** A name in braces that is no variable, '' when there is none. */
export function findUnknownVariable(text: string): string {
  for (const [, name] of text.matchAll(variablePattern)) if (!isVariable(name!)) return name!
  return ''
}

/** `text` must hold no unknown variable. */
export function parseTemplate(text: string): FieldTemplate {
  const texts: string[] = []
  const variables: FieldVariable[] = []
  let at = 0
  for (const match of text.matchAll(variablePattern)) {
    if (!isVariable(match[1]!)) continue
    texts.push(text.slice(at, match.index))
    variables.push(match[1])
    at = match.index + match[0].length
  }
  texts.push(text.slice(at))
  return { texts, variables }
}

export function fillTemplate({ texts, variables }: FieldTemplate, facts: FieldVariables): string {
  let text = texts[0]!
  for (let i = 0; i < variables.length; i++) text += facts[variables[i]!] + texts[i + 1]!
  return text
}

function isVariable(name: string): name is FieldVariable {
  return (fieldVariables as readonly string[]).includes(name)
}
