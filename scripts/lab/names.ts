/** Where `ip netns` keeps the names of network namespaces. */
export const netnsDirectory = '/run/netns'

/** A file in a lab host's own /run that holds the name of its namespace. */
export const hostMark = '/run/lab/host'

/** The folder of a lab, shared by all its hosts: logs and the embedded store. */
export function labDirectory(lab: string): string {
  checkLabName(lab)
  return `/run/heddle-lab/${lab}`
}

/** A lab's network namespace: `heddle-LAB-switch` or `heddle-LAB-hN`. */
export function namespaceName(lab: string, part: string): string {
  checkLabName(lab)
  return `heddle-${lab}-${part}`
}

/** The path of a network namespace of this lab on the machine. */
export function netnsPath(lab: string, part: string): string {
  return `${netnsDirectory}/${namespaceName(lab, part)}`
}

/** Address of host `index` (1..250; 254 is the switch) in segment `segment` of the lab's underlay. */
export function underlayIPv4(index: number, segment: number): string {
  return `10.${100 + segment}.0.${index}`
}

/** As `underlayIPv4`, in IPv6. */
export function underlayIPv6(index: number, segment: number): string {
  return `fd00:${100 + segment}::${index.toString(16)}`
}

/** Lab names become paths and patterns, and what matches them is deleted. */
function checkLabName(lab: string): void {
  if (!/^[a-z\d]+(-[a-z\d]+)*$/.test(lab)) {
    throw new RangeError(`A lab's name is made of a-z, 0-9 and single "-", unlike "${lab}"`)
  }
}
