/** What the token of the admin listener has to be, wherever it comes from: too long to be guessed, and one word for a field of HTTP. */
const charactersMin = 16

export function isAdminToken(text: string): boolean {
  return text.length >= charactersMin && /^\S+$/.test(text)
}

export const adminTokenForm = `${charactersMin} or more characters without white space`
