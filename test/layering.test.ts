/**
 * The direction of imports is the architecture: every folder of lib/ may import what is below it and nothing beside or above it. This
 * file reads the import declarations of the sources (type imports too: a type is knowledge of a layer) and compares them with the
 * order below. It does not judge what a folder contains.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { blankComments, listFiles, readText } from './support/source-tree.ts'

/** From the top down. Folders on one line are neighbours and do not import each other. */
const layers: readonly (readonly string[])[] = [
  ['lib/cli'],
  ['lib/conformance', 'lib/config', 'lib/admin'],
  ['lib/index.ts'],
  ['lib/workers'],
  ['lib/proxy.ts'],
  ['lib/proxy'],
  ['lib/origin', 'lib/downstream'],
  ['lib/exchange'],
  ['lib/policy'],
  ['lib/upstream'],
  ['lib/limit'],
  ['lib/route'],
  ['lib/observe'],
  ['lib/net'],
  ['lib/core'],
  ['native-free-parser'],
]

/** The parser knows no socket, no timer and no file: of Node it has these. */
const modulesOfParser: ReadonlySet<string> = new Set(['node:assert', 'node:assert/strict', 'node:buffer'])

interface Edge {
  readonly from: string
  /** A path from the root, or the name of a module. */
  readonly to: string
  readonly kind: 'static' | 'type' | 'dynamic'
}

/** A source's path and its text. */
type Sources = ReadonlyMap<string, string>

const sources: Sources = new Map(
  listFiles()
    .filter((path) => /^(?:lib|native-free-parser)\/.*\.ts$/.test(path))
    .map((path) => [path, readText(path)]),
)
const dependencies: ReadonlySet<string> = new Set(
  Object.keys((JSON.parse(readText('package.json')) as { dependencies?: Record<string, string> }).dependencies ?? {}),
)

test('imports point downwards', () => {
  assert(sources.size > 0, 'there are sources to check')
  assert.deepEqual(upwardImports(sources), [])
})

test('no file imports itself through others', () => {
  assert.deepEqual(importCycles(sources), [])
})

test('the parser imports nothing but itself, buffers and assertions', () => {
  assert.deepEqual(foreignImportsOfParser(sources), [])
})

test('lib/ imports Node, itself, the door of the parser and the declared dependencies', () => {
  assert.deepEqual(undeclaredImports(sources), [])
})

test('the checks find what they look for', () => {
  const upward = new Map([
    ['lib/core/clock.ts', "import type { Pool } from '../upstream/pool.ts'"],
    ['lib/exchange/settle.ts', "export {\n  a,\n  type B,\n} from '../downstream/connection.ts'"],
    ['lib/origin/origin.ts', "import '../downstream/connection.ts'"],
    ['lib/stray.ts', "import x, { y } from './core/clock.ts'"],
    ['lib/cli/main.ts', "const lazy = await import('../index.ts')"],
    ['native-free-parser/head.ts', "import * as core from '../lib/core/clock.ts'"],
  ])
  assert.deepEqual(upwardImports(upward), [
    'lib/core/clock.ts imports lib/upstream/pool.ts, which is above it',
    'lib/exchange/settle.ts imports lib/downstream/connection.ts, which is above it',
    'lib/origin/origin.ts imports lib/downstream/connection.ts, which is beside it',
    'lib/stray.ts has no place in the order of layers',
    'native-free-parser/head.ts imports lib/core/clock.ts, which is above it',
  ])

  const cyclic = new Map([
    ['lib/net/a.ts', "import { b } from './b.ts'"],
    ['lib/net/b.ts', "import { c } from './c.ts'"],
    ['lib/net/c.ts', "import { a } from './a.ts'\nimport type { d } from './d.ts'"],
    ['lib/net/d.ts', "import { c } from './c.ts' // the way back is of types only"],
  ])
  assert.deepEqual(importCycles(cyclic), ['lib/net/a.ts -> lib/net/b.ts -> lib/net/c.ts -> lib/net/a.ts'])

  const foreign = new Map([
    [
      'native-free-parser/head.ts',
      "import { Buffer } from 'node:buffer'\nimport net from 'node:net'\nimport { tick } from '../lib/core/clock.ts'",
    ],
    [
      'lib/core/log.ts',
      "// import nothing from 'commented'\nimport yargs from 'yargs'\nimport 'left-pad'\nawait import('optional')\nimport { b } from '../../native-free-parser/head.ts'",
    ],
  ])
  assert.deepEqual(foreignImportsOfParser(foreign), [
    'native-free-parser/head.ts imports lib/core/clock.ts',
    'native-free-parser/head.ts imports node:net',
  ])
  assert.deepEqual(undeclaredImports(foreign), [
    'lib/core/log.ts imports left-pad',
    'lib/core/log.ts imports native-free-parser/head.ts instead of native-free-parser/index.ts',
  ])
})

function upwardImports(all: Sources): string[] {
  const lost = [...all.keys()].filter((path) => layerOf(path) === undefined).map((path) => `${path} has no place in the order of layers`)
  const wrong = importEdges(all).flatMap(({ from, to }) => {
    const importer = layerOf(from)
    const imported = layerOf(to)
    if (importer === undefined || imported === undefined || importer.name === imported.name || importer.rank < imported.rank) return []
    return [`${from} imports ${to}, which is ${importer.rank === imported.rank ? 'beside' : 'above'} it`]
  })
  return [...wrong, ...lost].sort()
}

function foreignImportsOfParser(all: Sources): string[] {
  return importEdges(all)
    .filter(({ from, to }) => isInParser(from) && !isInParser(to) && !modulesOfParser.has(to))
    .map(({ from, to }) => `${from} imports ${to}`)
    .sort()
}

/** A package that is imported dynamically may be missing: that import is an attempt, and its failure is handled where it stands. */
function undeclaredImports(all: Sources): string[] {
  return importEdges(all)
    .filter(({ from }) => from.startsWith('lib/'))
    .flatMap(({ from, to, kind }) => {
      if (isInParser(to))
        return to === 'native-free-parser/index.ts' ? [] : [`${from} imports ${to} instead of native-free-parser/index.ts`]
      const isKnown = to.startsWith('lib/') || to.startsWith('node:') || dependencies.has(packageOf(to))
      return isKnown || kind === 'dynamic' ? [] : [`${from} imports ${to}`]
    })
    .sort()
}

/**
 * One cycle for each import that leads back to a file on its own trail. A type import inside a folder does not count: it is gone when the code
 * runs, and two types of one layer may know each other.
 */
function importCycles(all: Sources): string[] {
  const targets = new Map<string, string[]>([...all.keys()].map((path) => [path, []]))
  for (const { from, to, kind } of importEdges(all)) {
    if (all.has(to) && !(kind === 'type' && folderOf(from) === folderOf(to))) targets.get(from)?.push(to)
  }
  const cycles: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const seenAt = trail.indexOf(path)
    if (seenAt >= 0) cycles.push([...trail.slice(seenAt), path].join(' -> '))
    if (seenAt >= 0 || done.has(path)) return
    for (const target of targets.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of all.keys()) visit(path, [])
  return cycles
}

function importEdges(all: Sources): Edge[] {
  return [...all].flatMap(([from, text]) => {
    const code = blankComments(text)
    const edge = (match: RegExpExecArray, kind: Edge['kind']): Edge => ({
      from,
      to: resolveFrom(from, match.groups?.['target'] ?? ''),
      kind,
    })
    return [
      ...Array.from(code.matchAll(declaration), (match) => edge(match, match.groups?.['type'] === undefined ? 'static' : 'type')),
      ...Array.from(code.matchAll(sideEffect), (match) => edge(match, 'static')),
      ...Array.from(code.matchAll(dynamicImport), (match) => edge(match, 'dynamic')),
    ]
  })
}

/** `import … from`, `export … from`; what stands between the two words is a name, a namespace or a list in braces, never an expression. */
const declaration =
  /(?<![.\w$])(?:import|export)\s+(?<type>type\s+)?(?:[\w$]+\s*,\s*)?(?:[\w$]+|\*(?:\s+as\s+[\w$]+)?|\{[^}]*\})\s*from\s*(['"])(?<target>[^'"]+)\2/g
const sideEffect = /(?<![.\w$])import\s*(['"])(?<target>[^'"]+)\1/g
/** Of a dynamic import the type position (`import('x').T`) is one form. */
const dynamicImport = /(?<![.\w$])import\s*\(\s*(['"`])(?<target>[^'"`]+)\1/g

function resolveFrom(from: string, target: string): string {
  return target.startsWith('.') ? new URL(target, `file:///${from}`).pathname.slice(1) : target
}

function layerOf(path: string): { readonly name: string; readonly rank: number } | undefined {
  for (const [rank, names] of layers.entries()) {
    const name = names.find((one) => path === one || path.startsWith(`${one}/`))
    if (name !== undefined) return { name, rank }
  }
  return undefined
}

function isInParser(path: string): boolean {
  return path.startsWith('native-free-parser/')
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
