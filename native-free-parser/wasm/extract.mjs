// Build step: takes the llhttp WebAssembly module out of the npm package llhttp-wasm, checks its hash and writes it as a TypeScript
// module. The package's own JavaScript never runs: it is read as text.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const pinned = '259f8302ac0f7fd7d38469e0d16b505e59c6b432cc5eb856be4d012260de0e11'
const target = new URL('./llhttp-bytes.ts', import.meta.url)

const source = readFileSync(createRequire(import.meta.url).resolve('llhttp-wasm'), 'utf8')
const base64 = /binaryString = "([A-Za-z0-9+/=]+)"/.exec(source)?.[1]
if (base64 === undefined) throw new Error('llhttp-wasm: no WebAssembly module found in the package; is it version 1.0.3?')
const found = createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex')
if (found !== pinned) throw new Error(`llhttp-wasm: sha256 of the WebAssembly module is ${found}, pinned is ${pinned}`)

const text = `// Made by extract.mjs from llhttp-wasm 1.0.3 (llhttp, MIT license, see THIRD-PARTY.md). Do not edit.
/** sha256 of the decoded bytes. */
export const llhttpSha256 = '${pinned}'
export const llhttpBase64 =
  '${base64}'
`
if (!existsSync(target) || readFileSync(target, 'utf8') !== text) writeFileSync(target, text)
