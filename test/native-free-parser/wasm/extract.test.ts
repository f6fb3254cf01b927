/** The build step that takes the module out of its npm package: only the pinned bytes come through, and nothing is written otherwise. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { root } from '../../support/source-tree.ts'

const genuine = readFileSync(createRequire(import.meta.url).resolve('llhttp-wasm'), 'utf8')
const folders: string[] = []
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true })))

interface Extraction {
  readonly status: number | null
  readonly errors: string
  readonly target: string
}

/** A copy of the build step beside a package whose text is `packageText`. */
function prepare(packageText: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'eproxy-extract-'))
  folders.push(folder)
  const home = join(folder, 'node_modules', 'llhttp-wasm')
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'package.json'), '{"name":"llhttp-wasm","version":"1.0.3","main":"index.js"}')
  writeFileSync(join(home, 'index.js'), packageText)
  copyFileSync(join(root, 'native-free-parser', 'wasm', 'extract.mjs'), join(folder, 'extract.mjs'))
  return folder
}

function extract(folder: string): Extraction {
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'extract.mjs')], { encoding: 'utf8' })
  return { status, errors: stderr, target: join(folder, 'llhttp-bytes.ts') }
}

test('the package as it was published gives the module of this build', () => {
  const { status, errors, target } = extract(prepare(genuine))
  assert.equal(errors, '')
  assert.equal(status, 0)
  assert.equal(readFileSync(target, 'utf8'), readFileSync(join(root, 'native-free-parser', 'wasm', 'llhttp-bytes.ts'), 'utf8'))
})

test('a file that is right already is left alone', () => {
  const folder = prepare(genuine)
  const { target } = extract(folder)
  const before = new Date(1_000_000_000_000)
  utimesSync(target, before, before)
  assert.equal(extract(folder).status, 0)
  assert.equal(statSync(target).mtimeMs, before.getTime())
})

test('a package in which one character of the module differs is refused, and nothing is written', () => {
  const start = genuine.indexOf('binaryString = "') + 'binaryString = "'.length
  for (const at of [start + 20, start + 40_000]) {
    const tampered = genuine.slice(0, at) + (genuine[at] === 'A' ? 'B' : 'A') + genuine.slice(at + 1)
    const { status, errors, target } = extract(prepare(tampered))
    assert.equal(status, 1)
    assert.match(errors, /sha256 of the WebAssembly module is [0-9a-f]{64}, pinned is 259f8302/)
    assert(!existsSync(target))
  }
})

test('a package of another shape is refused', () => {
  for (const text of ['', 'module.exports = {}', genuine.replace('binaryString = "', 'binaryText = "')]) {
    const { status, errors, target } = extract(prepare(text))
    assert.equal(status, 1)
    assert.match(errors, /no WebAssembly module found/)
    assert(!existsSync(target))
  }
})

test('code of the package never runs', () => {
  const { status } = extract(prepare(`process.exit(7)\n${genuine}`))
  assert.equal(status, 0)
})
