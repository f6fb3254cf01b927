/** What a start without a configuration file does without: the libraries that read one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blankComments, listFiles, readText } from '../support/source-tree.ts'

const declaration = /(?<![.\w$])(?:import|export)\s+(?!type\b)[^'"]*?from\s*'([^']+)'/g

/** What is loaded together with a file: static imports only. */
function loadedWith(entry: string, sources: ReadonlySet<string>, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(entry)) return found
  found.add(entry)
  if (!sources.has(entry)) return found
  for (const [, target = ''] of blankComments(readText(entry)).matchAll(declaration))
    loadedWith(target.startsWith('.') ? new URL(target, `file:///${entry}`).pathname.slice(1) : target, sources, found)
  return found
}

test('neither the command nor a worker loads zod or yaml', () => {
  const sources = new Set(listFiles())
  for (const entry of ['main', 'run', 'single-service', 'group-service', 'worker']) {
    const loaded = loadedWith(`lib/cli/${entry}.ts`, sources)
    assert(loaded.has('lib/core/errors.ts'), `${entry} loads what it needs`)
    assert(!loaded.has('zod') && !loaded.has('yaml'), `${entry} loads ${[...loaded].join(', ')}`)
  }
  const withFile = loadedWith('lib/cli/configured.ts', sources)
  assert(withFile.has('zod') && withFile.has('yaml'), 'the check finds what it looks for')
})
