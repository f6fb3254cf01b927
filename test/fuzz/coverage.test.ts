import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CoverageMap, magnitudes, unite } from '../../fuzz/coverage.ts'

function collect(map: CoverageMap): number[] {
  map.collect()
  return [...map.features.subarray(0, map.featureCount)]
}

test('a feature is an edge and the order of magnitude of its count', () => {
  const map = new CoverageMap()
  const counters = map.createModuleCounters(10)
  const magnitudeOf = (count: number): number => {
    counters[3] = count
    const [feature, ...others] = collect(map)
    assert.deepEqual(others, [])
    return feature! % magnitudes
  }
  assert.deepEqual([1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 127, 128, 255].map(magnitudeOf), [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7])
  assert.deepEqual(map.figures, { edges: 1, edgesTotal: 10, llhttpStates: 0, llhttpSteps: 0 })
})

test('counting starts anew with each run, what was reached stays', () => {
  const map = new CoverageMap()
  const first = map.createModuleCounters(3)
  const second = map.createModuleCounters(5)
  first[0] = 1
  second[4] = 9
  assert.equal(collect(map).length, 2)
  assert.deepEqual(collect(map), [])
  first[1] = 1
  map.discard()
  assert.deepEqual(collect(map), [], 'what is discarded was not reached')
  assert.equal(map.figures.edges, 2)
  map.reset()
  assert.deepEqual(map.figures, { edges: 0, edgesTotal: 8, llhttpStates: 0, llhttpSteps: 0 })
})

test('steps of llhttp count like edges, and tell the states', () => {
  const map = new CoverageMap()
  map.noteLlhttpStep(253, 7)
  map.noteLlhttpStep(7, 7)
  map.noteLlhttpStep(7, 7)
  assert.equal(collect(map).length, 2)
  assert.deepEqual(map.figures, { edges: 0, edgesTotal: 0, llhttpStates: 1, llhttpSteps: 2 })
})

test('what several threads reached is united, not added', () => {
  const maps = [new CoverageMap(), new CoverageMap()] as const
  const counters = maps.map((map) => map.createModuleCounters(4))
  counters[0]![0] = counters[0]![1] = counters[1]![1] = counters[1]![2] = 1
  maps[0].noteLlhttpStep(253, 7)
  maps[1].noteLlhttpStep(253, 9)
  maps[1].noteLlhttpStep(253, 7)
  for (const map of maps) map.collect()
  const united = unite(maps.map((map) => ({ coverage: map.figures, reached: map.reached })))
  assert.deepEqual(united, { edges: 3, edgesTotal: 4, llhttpStates: 2, llhttpSteps: 2 })
})
