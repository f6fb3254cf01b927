/** What is wrong with a configuration, where, and in words for the person who wrote it. */
import { ProxyError } from '../core/errors.ts'

/** Lines and columns count from 1; line 0: what has none, such as a flag. */
export interface Place {
  readonly path: string
  readonly line: number
  readonly column: number
}

export interface Problem extends Place {
  /** What is wrong and what was expected, without the place. */
  readonly message: string
}

/** With more, the first are what matters: the rest comes of them. */
const problemsMax = 20

/** All that was found wrong, in the order of the file. */
export class ConfigError extends ProxyError {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column)
    super('ERR_EPROXY_OPTION', describe(sorted).join('\n'))
    this.problems = sorted
  }
}

/** `file:line:column: what is wrong`, one a line, which editors and terminals know how to follow. */
function describe(problems: readonly Problem[]): string[] {
  const lines = problems
    .slice(0, problemsMax)
    .map(({ path, line, column, message }) => (line === 0 ? `${path}: ${message}` : `${path}:${line}:${column}: ${message}`))
  const untold = problems.length - lines.length
  return untold > 0 ? [...lines, `and ${untold} more`] : lines
}
