/**
 * Reads the repository as text, for the tests that check the sources themselves. The files are found by walking the tree, not by asking
 * git: what a clone holds is the same, and a copy without git can be tested too. What .gitignore names is left out.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The root of the repository, with a slash at its end. Tests run from build/test/support. */
export const root = fileURLToPath(new URL('../../../', import.meta.url))

/** Paths from the root, with slashes, sorted. */
export function listFiles(): string[] {
  const isIgnored = ignoredBy(existsSync(`${root}.gitignore`) ? readText('.gitignore') : '')
  const paths: string[] = []
  const walk = (folder: string): void => {
    for (const entry of readdirSync(`${root}${folder}`, { withFileTypes: true })) {
      const path = `${folder}${entry.name}`
      if (path === '.git' || isIgnored(path)) continue
      if (entry.isDirectory()) walk(`${path}/`)
      else if (entry.isFile()) paths.push(path)
    }
  }
  walk('')
  return paths.sort()
}

export function readText(path: string): string {
  return readFileSync(`${root}${path}`, 'utf8')
}

/** The forms of .gitignore that this repository uses: `name/`, `*.extension`, `name` and `path/to/file`. Others are an error. */
export function ignoredBy(gitignore: string): (path: string) => boolean {
  const patterns = gitignore
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const body = line.replace(/^\//, '').replace(/\/$/, '')
      const bare = body.replace(/^\*(?=\.)/, '')
      if (line.startsWith('!') || /[*?[\]]/.test(bare)) throw new Error(`.gitignore: this test does not know the pattern ${line}`)
      return { text: bare, isSuffix: bare !== body, isAnchored: line.startsWith('/') || body.includes('/') }
    })
  return (path) => {
    const name = path.slice(path.lastIndexOf('/') + 1)
    return patterns.some(({ text, isSuffix, isAnchored }) => (isSuffix ? name.endsWith(text) : (isAnchored ? path : name) === text))
  }
}

/** TypeScript with every comment replaced by blanks, so that offsets and line numbers stay. */
export function blankComments(source: string): string {
  let result = ''
  let at = 0
  /** For each open `${`, the braces open inside it. */
  const templates: number[] = []
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at
    const text = pattern.exec(source)?.[0] ?? source.charAt(at)
    at += text.length
    return text
  }
  while (at < source.length) {
    const char = source.charAt(at)
    const pair = source.slice(at, at + 2)
    if (pair === '//' || pair === '/*') result += take(pair === '//' ? lineComment : blockComment).replace(/[^\n]/g, ' ')
    else if (char === "'" || char === '"') result += take(quoted)
    else if (char === '/' && beforeRegex.test(result)) result += take(regexLiteral)
    else if (char === '`' || (char === '}' && templates.at(-1) === 0)) {
      if (char === '}') templates.pop()
      const text = take(templateChunk)
      if (text.endsWith('${')) templates.push(0)
      result += text
    } else {
      const depth = templates.at(-1)
      if (depth !== undefined && char === '{') templates.splice(-1, 1, depth + 1)
      if (depth !== undefined && char === '}') templates.splice(-1, 1, depth - 1)
      result += take(anything)
    }
  }
  return result
}

const lineComment = /\/\/[^\n]*/y
const blockComment = /\/\*[^]*?(?:\*\/|$)/y
const quoted = /(['"])(?:\\[^]|(?!\1)[^\\\n])*\1?/y
const regexLiteral = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/?/y
/** From a backtick, or from the brace that ends a substitution, to the next substitution or to the end of the template. */
const templateChunk = /[`}](?:\\[^]|(?!\$\{)[^`\\])*(?:`|\$\{|$)/y
const anything = /[A-Za-z0-9_$]+|[^]/y
/** A slash behind this begins a regular expression; behind anything else it divides. */
const beforeRegex = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|of|in))\s*$/
