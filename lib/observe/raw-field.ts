/** A field of a head as it was received, found when it is asked for: for logs, which want one or two, and seldom. */

/** The first value, '' when there is none. The head has passed the parser; `name` is in lower case. */
export function rawFieldValue(head: string, name: string): string {
  for (let at = nextLine(head, 0); at !== 0; at = nextLine(head, at)) {
    const colon = at + name.length
    if (head.charCodeAt(colon) !== 0x3a || head.slice(at, colon).toLowerCase() !== name) continue
    const end = head.indexOf('\r\n', colon)
    // Not trim(), to which the non-breaking space of latin-1 is a blank.
    return head.slice(colon + 1, end === -1 ? head.length : end).replace(/^[ \t]+|[ \t]+$/g, '')
  }
  return ''
}

/** 0 after the last line. */
function nextLine(head: string, from: number): number {
  const end = head.indexOf('\r\n', from)
  return end === -1 || end + 2 >= head.length ? 0 : end + 2
}
