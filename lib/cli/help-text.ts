/** The help of a command, made of its table: groups of flags in columns, as wide as the terminal. It prints nothing. */
import type { CommandTable, Flag } from './command-line.ts'

/** With less room for what a flag does, that stands below its name. */
const docColumnsMin = 32

/** Lines of at most `columns` characters, as far as the words allow. */
export function renderHelp(table: CommandTable, columns: number): string {
  const [usage = '', ...about] = table.usage.split('\n')
  const blocks = [
    [`Usage: ${table.name} ${usage}`],
    about.flatMap((line) => wrap(line, columns)).slice(1),
    renderRows(
      'Commands',
      table.commands.map(([name, doc]) => ({ name, doc, tail: '' })),
      columns,
    ),
    ...[...new Set(table.flags.map(({ group }) => group))].map((group) =>
      renderRows(group, table.flags.filter((flag) => flag.group === group).map(toRow), columns),
    ),
    ['Examples:', ...table.examples.flatMap(([args, doc]) => [`  ${table.name} ${args}`.trimEnd(), ...indent(6, wrap(doc, columns - 6))])],
  ]
  return blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => `${lines.join('\n')}\n`)
    .join('\n')
}

interface Row {
  readonly name: string
  readonly doc: string
  /** At the right margin. */
  readonly tail: string
}

/** `-h, --help`, `--listen ADDRESS`: what is typed. */
export function showFlag({ name, short, value, isSwitch }: Flag): string {
  const written = name.length === 1 ? `-${name}` : `--${name}`
  return `${short === undefined ? '' : `-${short}, `}${written}${isSwitch === true ? '' : ` ${value ?? 'VALUE'}`}`
}

function toRow(flag: Flag): Row {
  return { name: showFlag(flag), doc: flag.doc, tail: flag.defaultText === undefined ? '' : `[default: ${flag.defaultText}]` }
}

function renderRows(title: string, rows: readonly Row[], columns: number): string[] {
  if (rows.length === 0) return []
  const nameColumns = Math.max(...rows.map(({ name }) => name.length))
  const docColumns = columns - nameColumns - 4
  return [
    `${title}:`,
    ...rows.flatMap(({ name, doc, tail }) => {
      if (docColumns < docColumnsMin) return [`  ${name}`, ...indent(6, withTail(wrap(doc, columns - 6), tail, columns - 6))]
      const [first = '', ...rest] = withTail(wrap(doc, docColumns), tail, docColumns)
      return [`  ${name.padEnd(nameColumns)}  ${first}`, ...indent(nameColumns + 4, rest)]
    }),
  ]
}

/** The tail ends the last line where it has room there, and has lines of its own otherwise. */
function withTail(lines: readonly string[], tail: string, columns: number): string[] {
  if (tail === '') return [...lines]
  const last = lines.at(-1) ?? ''
  if (last.length + 2 + tail.length <= columns) return [...lines.slice(0, -1), last + tail.padStart(columns - last.length)]
  return [...lines, ...wrap(tail, columns).map((line) => line.padStart(columns))]
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

function indent(count: number, lines: readonly string[]): string[] {
  return lines.map((line) => ' '.repeat(count) + line)
}
