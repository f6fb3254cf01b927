import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { CorpusFolder } from '../../fuzz/corpus-folder.ts'
import { Corpus } from '../../fuzz/corpus.ts'
import { SeededRandom } from '../support/seeded-random.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

function consider(corpus: Corpus, text: string, ...features: number[]): boolean {
  return corpus.consider(Buffer.from(text), 5, Int32Array.from([...features, 99]), features.length)
}

function textsOf(corpus: { readonly inputs: readonly { readonly data: Uint8Array }[] }): string[] {
  return corpus.inputs.map(({ data }) => Buffer.from(data).toString()).sort()
}

test('only what reaches something new is taken in', () => {
  const corpus = new Corpus()
  assert(consider(corpus, 'first', 1, 2))
  assert(!consider(corpus, 'other', 1, 2))
  assert(!consider(corpus, 'longer', 2))
  assert(consider(corpus, 'more', 2, 3))
  assert.deepEqual(textsOf(corpus), ['first', 'more'])
})

test('an input goes when shorter ones reach all that it was there for', () => {
  const corpus = new Corpus()
  consider(corpus, 'a long input', 1, 2, 3)
  assert(!consider(corpus, 'shorter', 1, 2), 'it would be one more, for nothing new')
  assert(consider(corpus, 'short', 1, 2, 3))
  assert.deepEqual(textsOf(corpus), ['short'])
  assert(consider(corpus, 'new', 1, 2, 4))
  assert.deepEqual(textsOf(corpus), ['new', 'short'])
  assert(consider(corpus, 's', 3))
  assert.deepEqual(textsOf(corpus), ['new', 's'])
})

test('what few runs reach is chosen more often', () => {
  const corpus = new Corpus()
  for (const [index, text] of ['a', 'b', 'c', 'd'].entries()) consider(corpus, text, index)
  for (let i = 0; i < 1_000; i++) consider(corpus, 'common', 0, 1, 2)
  const random = new SeededRandom(1)
  const picks = Array.from({ length: 400 }, () => Buffer.from(corpus.pick(random).data).toString())
  const share = picks.filter((text) => text === 'd').length / picks.length
  assert(share > 0.5, `chosen in ${share} of all cases, by lot it would be 0.25`)
  assert.equal(new Set(picks).size, 4, 'the others are not forgotten')
})

test('a folder keeps the inputs with their seeds, and drops what is no longer needed', () => {
  using folder = new TemporaryFolder()
  const path = folder.file('target')
  const inputs = ['long enough', 'short'].map((text, seed) => ({ data: Buffer.from(text), seed }))
  const one = new CorpusFolder(path)
  assert.deepEqual(one.load(), [])
  one.save(inputs, true)
  const two = new CorpusFolder(path)
  assert.deepEqual(two.load(), [inputs[1], inputs[0]], 'the shortest first')
  one.save([inputs[1]!, { data: Buffer.from('written meanwhile'), seed: 9 }], false)
  assert.equal(readdirSync(path).length, 3)
  two.save([inputs[1]!], true)
  assert.deepEqual(
    new CorpusFolder(path).load().map(({ data }) => Buffer.from(data).toString()),
    ['short', 'written meanwhile'],
    'what somebody else wrote stays',
  )
})
