/** Bytes as latin-1 text and back, and as text that can be read and pasted. */
import { Buffer } from 'node:buffer'

export function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

export function toBytes(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

/** As the inside of a JavaScript string in single quotes. */
export function escapeOctets(bytes: Uint8Array): string {
  return toText(bytes).replace(/[^\x20-\x7e]|['\\]/g, (octet) => {
    switch (octet) {
      case '\r':
        return '\\r'
      case '\n':
        return '\\n'
      case '\t':
        return '\\t'
      case "'":
      case '\\':
        return `\\${octet}`
      default:
        return `\\x${octet.charCodeAt(0).toString(16).padStart(2, '0')}`
    }
  })
}

/** One character of `alphabet` for each octet: bytes of any kind become text of one kind. */
export function mapOnto(bytes: Uint8Array, alphabet: readonly string[]): string {
  let text = ''
  for (const octet of bytes) text += alphabet[octet % alphabet.length]!
  return text
}
