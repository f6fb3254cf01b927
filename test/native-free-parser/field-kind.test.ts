/** Which names HTTP itself acts on: exactly these, in any case, and nothing that only looks like one. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { fieldKind, FieldKind } from '../../native-free-parser/field-kind.ts'

/** FORWARDED is the kind of `forwarded`: the names are those of the kinds. */
const names: readonly (readonly [string, FieldKind])[] = Object.entries(FieldKind)
  .filter(([name]) => name !== 'OTHER' && name !== 'FORWARDED_ALIKE')
  .map(([name, kind]) => [name.toLowerCase().replaceAll('_', '-'), kind])

/** What a name is for that some gateways make the same variable of. */
const alike = (name: string): FieldKind => (name.startsWith('x-forwarded-') ? FieldKind.FORWARDED_ALIKE : FieldKind.OTHER)

const kindOf = (name: string): FieldKind => fieldKind(`>${name}:`, 1, 1 + name.length)

test('each kind has a number of its own that fits the tables of a head', () => {
  const kinds = Object.values(FieldKind)
  assert.equal(new Set(kinds).size, kinds.length)
  for (const kind of kinds) assert(kind >= 0 && kind < 32)
})

test('each name is found in lower, upper and mixed case', () => {
  for (const [name, kind] of names) {
    assert.equal(kindOf(name), kind, name)
    assert.equal(kindOf(name.toUpperCase()), kind, name)
    assert.equal(kindOf(name.replace(/(?<=^|-)./g, (letter) => letter.toUpperCase())), kind, name)
  }
})

test('a name that differs in one octet is another name', () => {
  for (const [name] of names) {
    for (let at = 0; at < name.length; at++) {
      assert.equal(kindOf(name.slice(0, at) + name.slice(at + 1)), FieldKind.OTHER, name)
      for (let octet = 0; octet < 256; octet++) {
        const other = name.slice(0, at) + String.fromCharCode(octet) + name.slice(at + 1)
        if (other.toLowerCase() === name) continue
        assert.equal(kindOf(other), other.replaceAll('_', '-') === name ? alike(name) : FieldKind.OTHER, other)
      }
    }
    assert.equal(kindOf(`${name}s`), FieldKind.OTHER)
    assert.equal(kindOf(`x${name}`), FieldKind.OTHER)
    assert.equal(kindOf(name.replaceAll('-', '_')), name.includes('-') ? alike(name) : kindOf(name))
  }
})

test('any other name is another name', () => {
  const known = new Map(names)
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz-_.!~'.split('')), maxLength: 26 }), (name) => {
      assert.equal(kindOf(name), known.get(name) ?? FieldKind.OTHER)
    }),
  )
})
