/** Names that no container may answer to: they mean the host that it runs on. */

/** @param machine as hostname(1) says it @returns in lower case */
export function reservedNames(machine: string): ReadonlySet<string> {
  const whole = machine.toLowerCase()
  const [label = whole] = whole.split('.')
  return new Set(['localhost', whole, label].filter((name) => name !== ''))
}
