/**
 * The folder of everything that ever went wrong: one file of bytes for each finding, named TARGET-NAME-SEED.bin after the target, what was
 * wrong, and the seed of the chance inside the run. A file is written when a campaign finds something, and stays for ever.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Runner } from './runner.ts'
import type { FuzzTarget } from './target.ts'

/** In the sources, not in build/. */
export const regressionsFolder = fileURLToPath(new URL('../../fuzz/corpus/regressions/', import.meta.url))

/** Besides its own seed: the chance of a run is read in another way when the code of a target changes. */
const otherSeeds = 32

/** The words of a message that say little about what is wrong. */
const emptyWords = new Set([
  'a',
  'an',
  'and',
  'as',
  'at',
  'for',
  'in',
  'is',
  'it',
  'n',
  'of',
  'on',
  'that',
  'the',
  'to',
  'was',
  'what',
  'which',
])
const nameWordsMax = 6
const nameLengthMax = 60

export interface Regression {
  readonly file: string
  readonly target: FuzzTarget
  readonly seed: number
  readonly data: Uint8Array
}

/** The part of a finding that makes a file. */
export interface RegressionSource {
  readonly target: string
  readonly signature: string
  readonly seed: number
  readonly data: Uint8Array
}

/** Writes the file, unless there is one of this name already, whatever its seed. */
export function writeRegression(folder: string, { target, signature, seed, data }: RegressionSource): { path: string; isNew: boolean } {
  const prefix = `${target}-${describeInWords(signature)}`
  mkdirSync(folder, { recursive: true })
  const known = readdirSync(folder).find((name) => name.startsWith(`${prefix}-`) && /^[0-9]+\.bin$/.test(name.slice(prefix.length + 1)))
  if (known !== undefined) return { path: join(folder, known), isNew: false }
  const path = join(folder, `${prefix}-${seed}.bin`)
  writeFileSync(path, data)
  return { path, isNew: true }
}

function describeInWords(signature: string): string {
  const words =
    signature
      .replace(/^[A-Za-z]+: /, '')
      .toLowerCase()
      .match(/[a-z]+/g) ?? []
  const name = words
    .filter((word) => !emptyWords.has(word))
    .slice(0, nameWordsMax)
    .join('-')
  return name.slice(0, nameLengthMax).replace(/-+$/, '') || 'fault'
}

/** All files of a folder. Throws for one whose name says nothing. */
export function loadRegressions(folder: string, targets: readonly FuzzTarget[]): Regression[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((file) => file.endsWith('.bin'))
    .sort()
    .map((file) => {
      const target = targets.find(({ name }) => file.startsWith(`${name}-`))
      const seed = seedInName(file)
      if (target === undefined || seed === undefined)
        throw new Error(`${file}: the name is not TARGET-NAME-SEED.bin with a target of the registry`)
      return { file, target, seed, data: readFileSync(join(folder, file)) }
    })
}

/** The seed that a file of this folder, or of a working corpus, has in its name. */
export function seedInName(file: string): number | undefined {
  const seed = /-([0-9]+)\.bin$/.exec(file)?.[1] ?? /^([0-9]+)-[0-9a-f]+\.bin$/.exec(file)?.[1]
  return seed === undefined ? undefined : Number(seed)
}

/** What still goes wrong, and with which seed; undefined when all is well. */
export function replay({ target, seed, data }: Omit<Regression, 'file'>): { readonly error: Error; readonly seed: number } | undefined {
  const runner = new Runner(target)
  for (let other = -1; other < otherSeeds; other++) {
    const input = { data, seed: other < 0 ? seed : other }
    const error = runner.run(input)
    if (error !== undefined) return { error, seed: input.seed }
  }
  return undefined
}
