/**
 * The shape of a CNI result in each version of the specification, written from its text and the Go types
 * (docs/architecture/cni.md#results).
 */

interface Rules {
  /** Keys an interface, address and route may have. */
  readonly interface: readonly string[]
  readonly ip: readonly string[]
  readonly route: readonly string[]
  /** `ips[].version` is required up to 0.4.0 and unknown from 1.0.0 on. */
  readonly ipVersion: boolean
}

const OLD: Rules = {
  interface: ['name', 'mac', 'sandbox'],
  ip: ['version', 'address', 'gateway', 'interface'],
  route: ['dst', 'gw'],
  ipVersion: true,
}
const RULES: Readonly<Record<string, Rules>> = {
  '0.3.0': OLD,
  '0.3.1': OLD,
  '0.4.0': OLD,
  '1.0.0': { ...OLD, ip: ['address', 'gateway', 'interface'], ipVersion: false },
  '1.1.0': {
    interface: ['name', 'mac', 'mtu', 'sandbox', 'socketPath', 'pciID'],
    ip: ['address', 'gateway', 'interface'],
    route: ['dst', 'gw', 'mtu', 'advmss', 'priority', 'table', 'scope'],
    ipVersion: false,
  },
}

const CIDR = /^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/
const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/

// biome-ignore lint/suspicious/noExplicitAny: a result is what is judged here
type Json = any

class Judge {
  readonly problems: string[] = []
  check(holds: boolean, problem: string): void {
    if (!holds) this.problems.push(problem)
  }
  onlyKeys(value: Json, allowed: readonly string[], where: string): void {
    for (const key of Object.keys(value))
      this.check(allowed.includes(key), `${where}.${key} is no key of this version`)
  }
  matches(value: unknown, re: RegExp, where: string): void {
    this.check(typeof value === 'string' && re.test(value), `${where} is ${JSON.stringify(value)}`)
  }
}

/** What is wrong with a success result; empty when it conforms. */
export function resultProblems(result: Json, version: string): string[] {
  const judge = new Judge()
  const rules = RULES[version]
  if (!rules || typeof result !== 'object' || result === null)
    return [`no result of ${version}: ${JSON.stringify(result)}`]
  judge.onlyKeys(result, ['cniVersion', 'interfaces', 'ips', 'routes', 'dns'], 'result')
  judge.check(result.cniVersion === version, `cniVersion is ${JSON.stringify(result.cniVersion)}`)
  const interfaces: Json[] = result.interfaces ?? []
  interfaces.forEach((link, i) => {
    judge.onlyKeys(link, rules.interface, `interfaces[${i}]`)
    judge.check(typeof link.name === 'string' && link.name.length > 0, `interfaces[${i}].name is empty`)
    judge.matches(link.mac, MAC, `interfaces[${i}].mac`)
    if ('sandbox' in link) judge.check(link.sandbox !== '', `interfaces[${i}].sandbox is empty`)
    if ('mtu' in link)
      judge.check(Number.isInteger(link.mtu) && link.mtu > 0, `interfaces[${i}].mtu is ${link.mtu}`)
  })
  const ips: Json[] = result.ips ?? []
  judge.check(Array.isArray(result.ips), 'ips is no list')
  ips.forEach((ip, i) => {
    judge.onlyKeys(ip, rules.ip, `ips[${i}]`)
    judge.matches(ip.address, CIDR, `ips[${i}].address`)
    if ('gateway' in ip) judge.matches(ip.gateway, IPV4, `ips[${i}].gateway`)
    if (rules.ipVersion) judge.check(ip.version === '4', `ips[${i}].version is ${JSON.stringify(ip.version)}`)
    if ('interface' in ip)
      judge.check(
        Number.isInteger(ip.interface) && ip.interface in interfaces,
        `ips[${i}].interface is ${ip.interface}`,
      )
  })
  const routes: Json[] = result.routes ?? []
  routes.forEach((route, i) => {
    judge.onlyKeys(route, rules.route, `routes[${i}]`)
    judge.matches(route.dst, CIDR, `routes[${i}].dst`)
    if ('gw' in route) judge.matches(route.gw, IPV4, `routes[${i}].gw`)
  })
  return judge.problems
}

/** What is wrong with an error object; empty when it conforms. `cniVersion` is required by the specification. */
export function errorProblems(error: Json, code: number, version?: string): string[] {
  const judge = new Judge()
  if (typeof error !== 'object' || error === null) return [`no error object: ${JSON.stringify(error)}`]
  judge.onlyKeys(error, ['cniVersion', 'code', 'msg', 'details'], 'error')
  judge.check(error.code === code, `code is ${error.code}, not ${code}: ${error.msg}: ${error.details}`)
  judge.check(typeof error.msg === 'string' && error.msg.length > 0, 'msg is empty')
  judge.check(
    'details' in error ? typeof error.details === 'string' && error.details !== '' : true,
    'details is empty',
  )
  judge.check(typeof error.cniVersion === 'string' && error.cniVersion !== '', 'cniVersion is missing')
  if (version !== undefined) judge.check(error.cniVersion === version, `cniVersion is ${error.cniVersion}`)
  return judge.problems
}
