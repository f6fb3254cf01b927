/**
 * Which server of a group comes next. Pure: what is known of the servers comes in as arrays with one number for each, an index goes out, -1
 * when there is none to choose. A weight of 0 takes a server out of the choice. Nothing is allocated.
 */

/**
 * Smooth weighted round robin: in every run of as many choices as the weights add up to each server comes as often as its weight says, and its
 * turns are spread over the run. `credits` is the memory between choices and begins as zeros.
 */
export function chooseRoundRobin(weights: Float64Array, credits: Float64Array): number {
  let best = -1
  let total = 0
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!
    if (weight <= 0) continue
    total += weight
    credits[i]! += weight
    if (best < 0 || credits[i]! > credits[best]!) best = i
  }
  if (best >= 0) credits[best]! -= total
  return best
}

/** The server with the fewest exchanges for its weight; those that are equal take turns by weight. */
export function chooseLeastConnections(weights: Float64Array, active: Float64Array, credits: Float64Array): number {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < weights.length; i++) if (weights[i]! > 0) least = Math.min(least, active[i]! / weights[i]!)
  let best = -1
  let total = 0
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!
    if (weight <= 0 || active[i]! / weight > least) continue
    total += weight
    credits[i]! += weight
    if (best < 0 || credits[i]! > credits[best]!) best = i
  }
  if (best >= 0) credits[best]! -= total
  return best
}

/**
 * Two servers by chance, as often as their weights say, and of these the one with fewer exchanges for its weight. Many proxies that each know
 * only their own exchanges do not all run to the same server, as they do when each takes its least loaded one. `random` gives from 0 up to 1.
 */
export function chooseOfTwo(weights: Float64Array, active: Float64Array, random: () => number): number {
  let total = 0
  for (let i = 0; i < weights.length; i++) total += weights[i]!
  const first = drawByWeight(weights, total, -1, random)
  if (first < 0) return -1
  const second = drawByWeight(weights, total - weights[first]!, first, random)
  if (second < 0) return first
  // The first draw wins a tie: with no load at all every server gets its share.
  return active[second]! / weights[second]! < active[first]! / weights[first]! ? second : first
}

function drawByWeight(weights: Float64Array, total: number, except: number, random: () => number): number {
  let rest = random() * total
  let last = -1
  for (let i = 0; i < weights.length; i++) {
    if (i === except || weights[i]! <= 0) continue
    last = i
    rest -= weights[i]!
    if (rest < 0) return i
  }
  // What rounding leaves of `rest` belongs to the last one.
  return last
}

/**
 * Weighted rendezvous hashing: every server draws a number from the key and its own seed, and the highest score wins. A server that joins takes
 * its share from all others and nothing else moves; one that leaves gives away what it had and nothing else. The score is -w / ln(u), by which
 * the share of each server is its share of the weights.
 */
export function chooseByHash(weights: Float64Array, seeds: Uint32Array, key: number): number {
  let best = -1
  let bestScore = -1
  for (let i = 0; i < weights.length; i++) {
    if (weights[i]! <= 0) continue
    // From above 0 to below 1.
    const u = (mix(key ^ seeds[i]!) + 0.5) / 4_294_967_296
    const score = -weights[i]! / Math.log(u)
    if (score <= bestScore) continue
    best = i
    bestScore = score
  }
  return best
}

/** 32 bits of a text: FNV-1a, mixed. Keys are spread evenly; it is no defence against who looks for texts that meet. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return mix(hash)
}

/** The finaliser of MurmurHash3: every bit of the result depends on every bit of what goes in. */
function mix(bits: number): number {
  let hash = bits
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
