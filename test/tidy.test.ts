/**
 * What a reviewer should never have to say: leftovers, stray white space, file names that mean nothing, a clock or a random number
 * outside the one file that owns them, links that lead nowhere. Size and taste are not judged here.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import test from 'node:test'
import { blankComments, listFiles, readText, root } from './support/source-tree.ts'

/** Words and paths that are forbidden are written in two pieces here, so that this file does not hold them. */
const join = (pieces: string): string => pieces.replace('|', '')
const laterWord = join('TO|DO')
const leftoverWords = [laterWord, join('FIX|ME'), join('X|XX'), join('HA|CK')]
const localPath = join('/t|mp/')
const registryHost = join('//regi|stry.')

const forbidden: readonly { readonly pattern: RegExp; readonly why: string }[] = [
  { pattern: new RegExp(`\\b(?:${leftoverWords.join('|')})\\b`), why: 'do it now, or leave it out' },
  { pattern: new RegExp(`(?<![\\w.~-])(?:${localPath}|${join('/w|ork/')})`), why: 'a path of one machine; tests ask os.tmpdir()' },
  { pattern: new RegExp(registryHost.replace('.', '\\.')), why: 'which registry npm uses is not for the project to say' },
  { pattern: /^(?:<{7}|={7}|>{7})(?: |$)/m, why: 'an unresolved merge' },
]

/** Names that say nothing about what is inside. */
const emptyNames: ReadonlySet<string> = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'types', 'misc'])

/** Where a virtual clock drives the code in tests. Time and chance come in through lib/core/timers.ts, or a simulation cannot replay a run. */
const timeless = /^lib\/(?:upstream|exchange|downstream)\//
const timeAndChance =
  /\b(?:Math\.random|Date\.now|performance\.now|process\.hrtime|setTimeout|setInterval|random(?:Bytes|Int|UUID))\b|\bnew Date\(\)/g

/** What may stand there all the same. A row that is no longer needed fails the test. */
const allowed: readonly { readonly path: string; readonly call: string; readonly reason: string }[] = [
  { path: 'lib/upstream/resolver.ts', call: 'performance.now', reason: 'the default of a clock that its options can replace' },
  {
    path: 'lib/upstream/resolver.ts',
    call: 'setTimeout',
    reason: 'one for a name being asked for, which exchanges share and none of them owns',
  },
  { path: 'lib/upstream/service-ttl.ts', call: 'randomInt', reason: 'the number of a question, which others must not guess' },
]

const paths = listFiles()
/** Files whose every byte is data: white space and words in them mean something. */
const isData = (path: string): boolean =>
  path.startsWith('fuzz/corpus/') || path === 'package-lock.json' || path.endsWith('/llhttp-bytes.ts')
const texts = new Map(
  paths
    .filter((path) => !isData(path))
    .map((path) => [path, readText(path)] as const)
    .filter(([, text]) => !text.includes('\0')),
)

test('no leftovers in any file', () => {
  assert(texts.size > 0, 'there are files to check')
  assert.deepEqual(
    [...texts].flatMap(([path, text]) => findLeftovers(path, text)),
    [],
  )
})

test('no registry is pinned in the lock file', () => {
  assert.doesNotMatch(readText('package-lock.json'), /"resolved": "https?:/)
})

test('no trailing white space, no tab in TypeScript, one newline at the end', () => {
  assert.deepEqual(
    [...texts].flatMap(([path, text]) => findStrayWhiteSpace(path, text)),
    [],
  )
})

test('every name says something', () => {
  assert.deepEqual(paths.filter(isNamedEmptily), [])
})

test('time and chance come from lib/core/timers.ts', () => {
  const found = [...texts].filter(([path]) => timeless.test(path)).flatMap(([path, text]) => findTimeAndChance(path, text))
  const isAllowed = (path: string, call: string): boolean => allowed.some((row) => row.path === path && row.call === call)
  assert.deepEqual(
    found.filter(({ path, call }) => !isAllowed(path, call)).map(({ path, call, line }) => `${path}:${line} uses ${call}`),
    [],
  )
  assert.deepEqual(
    allowed
      .filter((row) => !found.some(({ path, call }) => row.path === path && row.call === call))
      .map((row) => `${row.path} no longer uses ${row.call}`),
    [],
  )
})

test('relative links in Markdown lead somewhere', () => {
  const pages = [...texts].filter(([path]) => path.endsWith('.md'))
  assert(pages.length > 0, 'there are pages to check')
  assert.deepEqual(
    pages.flatMap(([path, text]) => findDeadLinks(path, text)),
    [],
  )
})

test('the checks find what they look for', () => {
  assert.deepEqual(findLeftovers('a.ts', `first\n// ${laterWord}: later\n`), [`a.ts:2 holds "${laterWord}": do it now, or leave it out`])
  assert.equal(findLeftovers('a.ts', `cwd ${localPath}x`).length, 1)
  assert.equal(findLeftovers('a.ts', `https:${registryHost}example.org/`).length, 1)
  assert.equal(findLeftovers('a.ts', `GET /net${localPath}s HTTP/1.1`).length, 0)
  assert.deepEqual(findStrayWhiteSpace('a.ts', 'one \n\ttwo\nthree'), [
    'a.ts:1 ends in white space',
    'a.ts:2 has a tab',
    'a.ts does not end in one newline',
  ])
  assert.deepEqual(findStrayWhiteSpace('a.md', 'one\r\n\n'), ['a.md:1 ends in white space', 'a.md does not end in one newline'])
  assert(isNamedEmptily('lib/core/utils.ts') && isNamedEmptily('test/helpers/x.ts') && !isNamedEmptily('lib/core/units.ts'))
  assert.deepEqual(
    findTimeAndChance(
      'a.ts',
      "// setTimeout\nconst a = 'it`s' // Date.now\nconst b = /'/.test(a) ? Date.now() : `${Math.random()} // x`\n",
    ),
    [
      { path: 'a.ts', line: 3, call: 'Date.now' },
      { path: 'a.ts', line: 3, call: 'Math.random' },
    ],
  )
  const page =
    '# The title!\n\n[a](#the-title) [b](#none) [c](LICENSE) [d](./gone.md#x) [e](https://example.org/f) `[g](h)`\n\n```\n[i](j)\n```\n\n[k]: gone.txt\n'
  assert.deepEqual(findDeadLinks('README.md', page), [
    'README.md links to #none',
    'README.md links to ./gone.md#x',
    'README.md links to gone.txt',
  ])
})

function findLeftovers(path: string, text: string): string[] {
  return forbidden.flatMap(({ pattern, why }) => {
    const match = pattern.exec(text)
    return match === null ? [] : [`${path}:${lineAt(text, match.index)} holds "${match[0]}": ${why}`]
  })
}

function findStrayWhiteSpace(path: string, text: string): string[] {
  const lines = text.split('\n')
  return [
    ...lines.flatMap((line, index) => (/\s$/.test(line) ? [`${path}:${index + 1} ends in white space`] : [])),
    ...lines.flatMap((line, index) => (path.endsWith('.ts') && line.includes('\t') ? [`${path}:${index + 1} has a tab`] : [])),
    ...(text === '' || /(?:^|[^\n])\n$/.test(text) ? [] : [`${path} does not end in one newline`]),
  ]
}

function isNamedEmptily(path: string): boolean {
  return path.split('/').some((segment) => emptyNames.has(segment.replace(/\..*$/, '').toLowerCase()))
}

function findTimeAndChance(path: string, text: string): { path: string; line: number; call: string }[] {
  const code = blankComments(text)
  return [...code.matchAll(timeAndChance)].map((match) => ({ path, line: lineAt(code, match.index), call: match[0] }))
}

function findDeadLinks(path: string, text: string): string[] {
  const prose = withoutCode(text)
  const targets = [...prose.matchAll(inlineLink), ...prose.matchAll(linkDefinition), ...prose.matchAll(htmlLink)].map(
    (match) => match[1] ?? '',
  )
  return targets
    .filter((target) => !/^[a-z][a-z0-9+.-]*:|^\/\//i.test(target))
    .filter((target) => !leadsSomewhere(path, text, target))
    .map((target) => `${path} links to ${target}`)
}

function leadsSomewhere(path: string, text: string, target: string): boolean {
  const [file = '', anchor] = target.split('#')
  if (file === '') return anchor !== undefined && anchorsOf(text).has(anchor)
  const resolved = decodeURIComponent(new URL(file, `file:///${path}`).pathname.slice(1))
  if (!existsSync(`${root}${resolved}`)) return false
  return anchor === undefined || !resolved.endsWith('.md') || anchorsOf(readText(resolved)).has(anchor)
}

const inlineLink = /\]\(\s*<?([^)\s>]+)>?(?:\s+["'][^)]*)?\)/g
const linkDefinition = /^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm
const htmlLink = /<(?:a|img)\s[^>]*?(?:href|src)="([^"]+)"/g

/** The anchors that hosts of Git repositories give to headings: lower case, without punctuation, spaces as hyphens, numbered when repeated. */
function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>()
  const headings = withoutFences(text).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)
  for (const [, title = ''] of headings) {
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = plain.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-')
    let anchor = slug
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${slug}-${count}`
    anchors.add(anchor)
  }
  for (const [, id = ''] of text.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) anchors.add(id)
  return anchors
}

function withoutCode(markdown: string): string {
  return withoutFences(markdown).replace(/(`+)[^]*?[^`]\1(?!`)/g, '')
}

function withoutFences(markdown: string): string {
  return markdown.replace(/^ *(`{3,}|~{3,})[^]*?^ *\1[`~]* *$/gm, '')
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}
