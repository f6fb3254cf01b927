import assert from 'node:assert/strict'
import test from 'node:test'
import { rewriteBench } from '../../../bench/e2e/publish.ts'
import { makeResult, makeRun, makeWorkload } from './bench-result.ts'

const result = makeResult({
  workloads: [makeWorkload('post-4k', [makeRun('eproxy', 'subject', [12, 12]), makeRun('nginx', 'native', [10, 10])])],
})

test('what stands between the marks is made anew, and nothing else', () => {
  const document = '# Title\n\n<!-- bench -->\n\nold\n\n<!-- /bench -->\n\nthe rest\n'
  const once = rewriteBench(document, result)
  assert(once.startsWith('# Title\n\n<!-- bench -->\n\n![') && once.endsWith('\n\n<!-- /bench -->\n\nthe rest\n'))
  assert(!once.includes('old'))
  assert(once.includes('2026-01-02') && once.includes('eproxy 1.0.0, nginx 1.2.3'))
  assert.match(once, /^\| CPU a request, post-4k \| to nginx \| 1\.20 +\| 1\.20–1\.20 \| 1\.15 +\| no +\|$/m)
  assert.equal(rewriteBench(once, result), once)
})

test('a document without the marks is left alone, with an error', () => {
  assert.throws(() => rewriteBench('# Title\n', result), /no <!-- bench -->/)
})
