/**
 * The text of a configuration file as plain data, with the way back from a value to its line and column. YAML 1.2, of which JSON is a part.
 * What a file of settings has no use for is refused here: several documents, tags, keys that are not texts. It knows no option.
 */
import { isAlias, isCollection, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type Node } from 'yaml'
import { show } from './leaves.ts'
import { ConfigError, type Place } from './problem.ts'

/** A file of settings that is longer is something else. */
const fileBytesMax = 1_048_576
/** Lists and sections in each other; both the reader and those who walk through the data recurse. */
const depthMax = 64
const aliasesMax = 100

export interface Located {
  readonly place: Place
  /** The way to the value as far as the file has it: steps that a short form leaves out are left out. */
  readonly steps: readonly PropertyKey[]
  /** The whole way leads to something that is written there, be it a short form. */
  readonly isWritten: boolean
  /** Short forms that stand instead of sections: the way to each, and the key of the section that was asked for. */
  readonly skips: readonly { readonly steps: readonly PropertyKey[]; readonly key: PropertyKey }[]
}

export class ConfigDocument {
  readonly path: string
  readonly data: unknown
  readonly #document: Document
  readonly #lines: LineCounter

  /** `path` is for messages. Throws ConfigError. */
  static read(path: string, text: string): ConfigDocument {
    try {
      return new ConfigDocument(path, text)
    } catch (error) {
      if (error instanceof ConfigError) throw error
      // The reader's own: too deep for the stack, too many aliases.
      const why = error instanceof RangeError ? 'lists and sections are nested too deeply' : (error as Error).message
      throw new ConfigError([{ path, line: 1, column: 1, message: `this is not readable as YAML: ${why}` }])
    }
  }

  private constructor(path: string, text: string) {
    this.path = path
    this.#lines = new LineCounter()
    if (text.length > fileBytesMax)
      throw new ConfigError([{ path, line: 1, column: 1, message: `the file is longer than ${fileBytesMax / 1_024 / 1_024} MiB` }])
    this.#refuseDepth(text)
    // Warnings of the reader go to the process otherwise.
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      logLevel: 'error',
      strict: true,
      uniqueKeys: true,
    })
    const { errors, warnings } = this.#document
    const problems = [...errors, ...warnings].map(({ code, message, pos }) => ({ ...this.#at(pos[0]), message: inOurWords(code, message) }))
    if (problems.length === 0) problems.push(...this.#findForeign())
    if (problems.length > 0) throw new ConfigError(problems)
    this.data = this.#document.toJS({ maxAliasCount: aliasesMax }) ?? {}
  }

  /** Where the value at the end of `steps` stands; `isKey` for its key. Of what is not written, what it would stand in. */
  locate(steps: readonly PropertyKey[], isKey = false): Located {
    let node: unknown = this.#document.contents
    let offset = this.#offsetOf(node) ?? 0
    const walked: PropertyKey[] = []
    let isWritten = true
    const skips: { steps: readonly PropertyKey[]; key: PropertyKey }[] = []
    for (const [index, step] of steps.entries()) {
      node = this.#resolve(node)
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
        if (pair === undefined) {
          isWritten = false
          break
        }
        walked.push(step)
        node = pair.value
        const keyOffset = this.#offsetOf(pair.key) ?? offset
        const isLast = index === steps.length - 1
        // A section is where its key stands; a value where it begins.
        offset = (isLast && isKey) || isCollection(this.#resolve(node)) ? keyOffset : (this.#offsetOf(node) ?? keyOffset)
      } else if (isSeq(node) && typeof step === 'number') {
        if (step >= node.items.length) {
          isWritten = false
          break
        }
        walked.push(step)
        node = node.items[step]
        offset = this.#offsetOf(node) ?? offset
      } else skips.push({ steps: [...walked], key: step })
    }
    return { place: this.#at(offset), steps: walked, isWritten, skips }
  }

  /** An alias stands for what has its anchor. */
  #resolve(node: unknown): unknown {
    return isAlias(node) ? node.resolve(this.#document) : node
  }

  #offsetOf(node: unknown): number | undefined {
    return (node as Partial<Node> | null)?.range?.[0]
  }

  #at(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset)
    return { path: this.path, line: Math.max(1, line), column: Math.max(1, col) }
  }

  /** Before it is read, because the reader recurses: indents of block style and brackets of flow style. */
  #refuseDepth(text: string): void {
    let brackets = 0
    let line = 1
    for (const character of text) {
      if (character === '\n') line++
      else if (character === '[' || character === '{') brackets++
      else if ((character === ']' || character === '}') && brackets > 0) brackets--
      // Brackets in texts and comments count, too; nobody has so many that stay open.
      if (brackets > 1_000)
        throw new ConfigError([{ path: this.path, line, column: 1, message: 'lists and sections are nested too deeply' }])
    }
  }

  #findForeign(): { message: string; path: string; line: number; column: number }[] {
    const found: ({ message: string } & Place)[] = []
    const add = (node: unknown, message: string): void => void found.push({ ...this.#at(this.#offsetOf(node) ?? 0), message })
    if (this.#document.directives?.yaml.version !== '1.2') add(this.#document.contents, 'this is YAML 1.2; leave the directive out')
    visit(this.#document, {
      Node: (_key, node, ancestors) => {
        if (ancestors.filter((ancestor) => isCollection(ancestor)).length >= depthMax) {
          add(node, 'lists and sections are nested too deeply')
          return visit.BREAK
        }
        if (node.tag !== undefined && !/^tag:yaml\.org,2002:(?:map|seq|str|int|float|bool|null)$/.test(node.tag))
          add(node, `the tag ${show(node.tag)} has no meaning here`)
        if (isAlias(node) && node.resolve(this.#document) === undefined) add(node, `there is no anchor &${node.source} before this alias`)
      },
      Pair: (_key, { key }) => {
        if (!isScalar(key) || key.value === null) add(isPair(key) ? undefined : key, 'a key has to be a text')
        else if (key.value === '__proto__') add(key, 'unknown key "__proto__"')
        else if (key.value === '<<') add(key, 'sections are not merged by <<; an alias (*name) stands for a whole section')
      },
    })
    return found
  }
}

/** The reader's messages speak of its own interface, or of a parser. */
function inOurWords(code: string, message: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'this key is given twice; every key may stand once'
    case 'MULTIPLE_DOCS':
      return 'a second document begins here; the file is one'
    default:
      return `this is not readable as YAML: ${message.slice(0, 1).toLowerCase()}${message.slice(1)}`
  }
}
