/** Bytes for people: a line of text for each line of the message, with every octet that cannot be seen written out. */

export interface RenderBounds {
  readonly linesMax: number
  readonly columnsMax: number
}

const reportBounds: RenderBounds = { linesMax: 24, columnsMax: 160 }
/** Longer runs of one character are counted instead of shown. */
const runMin = 48
const equalLinesMax = 3

/** One entry for each line, without a line end of its own: CR and LF are written as `\r` and `\n`. */
export function renderBytes(bytes: string, { linesMax, columnsMax }: RenderBounds = reportBounds): string[] {
  const lines: string[] = []
  let at = 0
  while (at < bytes.length && lines.length < linesMax) {
    const lineEnd = bytes.indexOf('\n', at)
    const end = lineEnd < 0 ? bytes.length : lineEnd + 1
    const line = bytes.slice(at, end)
    let count = 1
    while (bytes.startsWith(line, at + count * line.length)) count += 1
    lines.push(...Array<string>(Math.min(count, equalLinesMax)).fill(renderLine(line, columnsMax)))
    if (count > equalLinesMax) lines.push(`… ${count} times`)
    at += count * line.length
  }
  if (at < bytes.length) lines.push(`… and ${bytes.length - at} more bytes`)
  return lines
}

function renderLine(line: string, columnsMax: number): string {
  const text = line.replace(runPattern, (run: string) => `${run.slice(0, 3)}…[${run.length} times]`).replace(invisible, escape)
  return text.length > columnsMax ? `${text.slice(0, columnsMax - 20)}…[${line.length} bytes]${/(?:\\r)?(?:\\n)?$/.exec(text)?.[0]}` : text
}

const runPattern = new RegExp(`([^])\\1{${runMin - 1},}`, 'g')
// A backslash is doubled, so that what stands for an octet cannot be taken for text. The ellipsis is our own.
const invisible = /[^\x20-\x5b\x5d-\x7e…]/g

function escape(character: string): string {
  switch (character) {
    case '\r':
      return '\\r'
    case '\n':
      return '\\n'
    case '\t':
      return '\\t'
    case '\\':
      return '\\\\'
    default:
      return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
  }
}
