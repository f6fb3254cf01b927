import assert from 'node:assert/strict'
import test from 'node:test'
import { renderChart } from '../../../bench/e2e/chart.ts'
import { makeResult, makeRun, makeWorkload } from './bench-result.ts'

const runs = [makeRun('eproxy', 'subject', [12, 14]), makeRun('nginx', 'native', [10, 10]), makeRun('fastify', 'node', [900, 900])]

test('every proxy that was measured has a bar, its figure and its ratio', () => {
  const chart = renderChart(makeResult({ workloads: [makeWorkload('small-get', runs)] }))
  for (const text of ['>eproxy<', '>13.0<', '>×1.30<', '>nginx<', '>10.0<', '>×1.00<', '>fastify<', '>900<', '>×90<'])
    assert(chart.includes(text), text)
})

test('a bar that would hide the others is cut, and marked', () => {
  const chart = renderChart(makeResult({ workloads: [makeWorkload('small-get', runs)] }))
  assert.equal(chart.match(/class="cut"/g)?.length, 1)
  const widths = [...chart.matchAll(/class="(\w+)-(?:user|system)"[^>]* width="([\d.]+)" height="15"/g)].filter(
    ([, , width]) => width !== '16',
  )
  const total = (kind: string): number => widths.filter(([, name]) => name === kind).reduce((sum, [, , width]) => sum + Number(width), 0)
  assert(total('node') < 3 * total('subject'))
  assert(Math.abs(total('subject') / total('native') - 1.3) < 0.02)
})

test('text is escaped, elements are closed', () => {
  const chart = renderChart(makeResult({ workloads: [makeWorkload('a<b', runs)] }))
  assert(chart.includes('A &quot;machine&quot; &lt;of> 2 cores'))
  assert(chart.includes('>a&lt;b<'))
  const open: string[] = []
  for (const [, slash, name, attributes] of chart.matchAll(/<(\/?)(\w+)((?:[^">]|"[^"]*")*)>/g)) {
    if (slash === '/') assert.equal(open.pop(), name)
    else if (!attributes!.endsWith('/')) open.push(name!)
  }
  assert.deepEqual(open, [])
})

test('a run without workloads still makes a chart', () => {
  assert.match(renderChart(makeResult()), /^<svg .*<\/svg>\n$/s)
})
