/** Colours for terminals, and nothing elsewhere. */

const codes = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const
export type Style = keyof typeof codes
export type Paint = (style: Style, text: string) => string

export const paintNothing: Paint = (_style, text) => text

export const paintAnsi: Paint = (style, text) => {
  const [on, off] = codes[style]
  return `\u001b[${on}m${text}\u001b[${off}m`
}

/** Colours only where a person sees them and has not declined (https://no-color.org). */
export function paintFor(stream: { readonly isTTY?: boolean }): Paint {
  const declines = (process.env['NO_COLOR'] ?? '') !== '' || process.env['TERM'] === 'dumb'
  return stream.isTTY === true && !declines ? paintAnsi : paintNothing
}
