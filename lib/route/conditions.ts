/** What a route asks of a request besides host and path: methods and fields. */
import { equalsIgnoreCase, spanWidth, type RequestHead } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import type { RouteMatch, ValueMatch } from '../core/service-options.ts'
import { Pattern } from './pattern.ts'

export class Conditions {
  /** None: any. */
  readonly #methods: readonly string[]
  readonly #fields: readonly FieldCondition[]

  /** Throws ProxyError ERR_EPROXY_OPTION. */
  constructor({ methods, headers }: Pick<RouteMatch, 'methods' | 'headers'>) {
    this.#methods = methods
    this.#fields = Object.entries(headers).map(([name, match]) => new FieldCondition(name, match))
  }

  /** More conditions make a route more specific; the methods together are one. */
  get count(): number {
    return this.#fields.length + (this.#methods.length > 0 ? 1 : 0)
  }

  hold(head: RequestHead): boolean {
    if (this.#methods.length > 0 && !this.#methods.includes(head.method)) return false
    for (const field of this.#fields) if (!field.holds(head)) return false
    return true
  }

  /** The first condition that does not hold, in words; '' when all do. */
  explain(head: RequestHead): string {
    if (this.#methods.length > 0 && !this.#methods.includes(head.method))
      return `the method is ${head.method}, not ${this.#methods.join(' or ')}`
    return this.#fields.find((field) => !field.holds(head))?.explain(head) ?? ''
  }

  toString(): string {
    return [...(this.#methods.length > 0 ? [this.#methods.join(',')] : []), ...this.#fields.map(String)].join(' ')
  }
}

class FieldCondition {
  readonly #name: string
  readonly #match: ValueMatch
  readonly #pattern: Pattern | undefined

  constructor(name: string, match: ValueMatch) {
    if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/i.test(name))
      throw new ProxyError('ERR_EPROXY_OPTION', `${JSON.stringify(name)} is not the name of a field`)
    this.#name = name.toLowerCase()
    this.#match = match
    this.#pattern = 'pattern' in match ? new Pattern(match.pattern) : undefined
  }

  holds(head: RequestHead): boolean {
    const value = readField(head, this.#name)
    if ('present' in this.#match) return this.#match.present === (value !== undefined)
    if (value === undefined) return false
    if ('exact' in this.#match) return value === this.#match.exact
    if ('prefix' in this.#match) return value.startsWith(this.#match.prefix)
    return this.#pattern!.matches(value)
  }

  explain(head: RequestHead): string {
    const value = readField(head, this.#name)
    if (value === undefined) return `there is no field ${this.#name}`
    if ('present' in this.#match) return `there is a field ${this.#name}`
    return `the field ${this.#name} is ${JSON.stringify(value)}, not ${this.#describe()}`
  }

  toString(): string {
    if ('present' in this.#match) return this.#match.present ? this.#name : `!${this.#name}`
    return `${this.#name}=${this.#describe()}`
  }

  #describe(): string {
    if ('exact' in this.#match) return JSON.stringify(this.#match.exact)
    if ('prefix' in this.#match) return `${JSON.stringify(this.#match.prefix)}…`
    return `~${this.#pattern!.text}`
  }
}

/** Several fields of one name are one list, RFC 9110 section 5.3. */
function readField(head: RequestHead, lowerCaseName: string): string | undefined {
  let value: string | undefined
  for (let i = 0; i < head.count; i++) {
    const at = i * spanWidth
    if (!equalsIgnoreCase(head.raw, head.spans[at]!, head.spans[at + 1]!, lowerCaseName)) continue
    value = value === undefined ? head.value(i) : `${value}, ${head.value(i)}`
  }
  return value
}
