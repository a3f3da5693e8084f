/** At most so many characters, as a copy: a part of a text, as a name is of its header, keeps all of it in memory. */
export function copyOf(text: string, longest: number): string {
  return Buffer.from(text.slice(0, longest)).toString()
}
