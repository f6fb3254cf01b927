/**
 * Makes our compiled modules count their edges while they are loaded: with the instrumentation of jazzer.js, but not with its fuzzer, a
 * native addon that does not load everywhere and knows nothing of HTTP. What is loaded before this is not counted, so nothing of the product
 * may be imported statically by whoever calls it.
 */
import { register } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { CoverageMap } from './coverage.ts'
import { watchLlhttp } from './llhttp-states.ts'

const folders = ['../lib/', '../native-free-parser/'].map((folder) => fileURLToPath(new URL(folder, import.meta.url)))

/** The names that instrumented code calls. Comparisons are only made, not traced: the dictionary knows the words of HTTP. */
const comparisons = {
  traceStrCmp: compare,
  traceNumberCmp: compare,
  traceAndReturn: (_current: unknown, target: unknown) => target,
}

/** From now on. The hash is that of the llhttp module whose steps count; it is not imported here, because that would load it too early. */
export function instrument(coverage: CoverageMap, llhttpSha256: string): void {
  Object.assign(globalThis, {
    Fuzzer: { coverageTracker: { createModuleCounters: (edges: number) => coverage.createModuleCounters(edges) }, tracer: comparisons },
    __jazzer_registerSourceMap: () => {},
  })
  watchLlhttp(llhttpSha256, (from, to) => coverage.noteLlhttpStep(from, to))
  // Node 26 says that there is a newer way. The hooks of jazzer.js are made for this one, and it is the one that Node 20 has.
  process.noDeprecation = true
  register('@jazzer.js/instrumentor/dist/esm-loader.mjs', {
    parentURL: import.meta.url,
    data: { includes: folders, excludes: [], coverage: false, seed: 1 },
  })
}

function compare(left: number | string, right: number | string, operator: string): boolean {
  switch (operator) {
    case '===':
    case '==':
      return left === right
    case '!==':
    case '!=':
      return left !== right
    case '<':
      return left < right
    case '<=':
      return left <= right
    case '>':
      return left > right
    case '>=':
      return left >= right
    default:
      throw new Error(`a comparison with ${operator}`)
  }
}
