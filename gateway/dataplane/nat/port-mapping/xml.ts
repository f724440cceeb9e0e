/** Reads elements out of the XML of routers, which is often none: finds them by name, wherever they are. Pure. */

/**
 * No library: routers send descriptions that a strict parser refuses (an & in a model's name is common), and nothing
 * here needs a tree. What is read is bounded before (`igd-http.ts`), and each scan goes forward only.
 */
const PREFIX = '(?:[A-Za-z][\\w.-]{0,31}:)?'
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** @returns the content of each element of this name, whatever its namespace; of nested ones the outermost's begin */
export function contentsOf(xml: string, name: string): string[] {
  const open = new RegExp(`<${PREFIX}${name}(?:\\s[^<>]{0,512})?>`, 'g')
  const close = new RegExp(`</${PREFIX}${name}\\s{0,8}>`, 'g')
  const found: string[] = []
  while (open.exec(xml) !== null) {
    close.lastIndex = open.lastIndex
    const end = close.exec(xml)
    if (end === null) return found
    found.push(xml.slice(open.lastIndex, end.index))
    open.lastIndex = close.lastIndex
  }
  return found
}

/** The text of the first element of this name, at most 512 characters of it. */
export function textOf(xml: string, name: string): string | undefined {
  const [content] = contentsOf(xml, name)
  return content
    ?.trim()
    .slice(0, 512)
    .replaceAll(/&(amp|lt|gt|quot|apos);/g, (_all, entity: string) => ENTITIES[entity] ?? '')
}

/** For the text of an element. */
export const escapeXml = (text: string): string =>
  text.replaceAll(/[&<>]/g, (char) => (char === '&' ? '&amp;' : char === '<' ? '&lt;' : '&gt;'))
