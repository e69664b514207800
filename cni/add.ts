import type { AttachmentParts, AttachmentRecord, LinkRecord } from '../conf/attachment-record.ts'
import { UnsupportedFieldError } from '../conf/errors.ts'
import type { PortMapping } from '../firewall/port-mapping.ts'
import { formatPrefix } from '../ip/prefix.ts'
import { Connection } from '../netlink/connection.ts'
import type { Netns } from '../sys/netns.ts'
import { type Call, keyOf, type Loaders } from './call.ts'
import { InterfaceExists } from './errors.ts'
import type { Bandwidth } from './features/bandwidth.ts'
import { stopMasquerade } from './features/masquerade.ts'
import { addDelegate, allocateAddresses } from './ipam.ts'
import { findLink } from './link.ts'
import { bridgeMode } from './mode/bridge-mode.ts'
import type { Mode, Site } from './mode/mode.ts'
import { type Endpoint, exemptNetworks, planEndpoint } from './mode/plan.ts'
import { isNetnsError, openContainer } from './netns.ts'
import { CniError, errorCodes } from './protocol/error.ts'
import { type CniResult, renderResult, requirePrintable } from './protocol/result.ts'
import { beginRecord, findRecord, markEnding, readRecord } from './records/record.ts'
import { readAliases } from './target/aliases.ts'
import { type AttachConf, readArgs } from './target/attach-conf.ts'
import { saveTarget, targetOfAdd } from './target/resolve.ts'
import { modeOf, type Target } from './target/target.ts'
import { wantsFeatures } from './target/wanted-features.ts'
import { Undo } from './undo.ts'

/** Attaches a container and prints the result. A failure, also of that, leaves nothing behind. */
export function add(call: Call): void {
  const target = targetOfAdd(call)
  const mode = modeOf(call.role, target)
  if (mode === 'ptp') attach(call.deps.load.otherwise().ptpMode, call, target)
  else if (mode === 'macvlan') attach(call.deps.load.otherwise().macvlanMode, call, target)
  else if (mode === 'elsewhere') attachElsewhere(call, target)
  else attach(bridgeMode, call, target)
}

function attachElsewhere(call: Call, target: Target): void {
  if (wantsFeatures(call)) {
    const advice = 'give portMappings and bandwidth to plugins that are chained after this one'
    throw new UnsupportedFieldError('runtimeConfig', call.conf.runtimeConfig, advice)
  }
  using undo = new Undo()
  saveTarget(call, target, undo)
  call.print(addDelegate(call, target.type, target.text, undo))
  undo.forget()
}

/** What an ADD is about to do. */
interface Plan<Conf extends AttachConf, Found> {
  readonly mode: Mode<Conf, Found>
  readonly site: Site<Conf>
  readonly found: Found
  readonly features: Features | undefined
  readonly aliases: readonly string[] | undefined
  /** Left by a container of the same name that never saw its DEL. */
  readonly earlier: AttachmentRecord | undefined
}

/** Checks everything that can be checked, and only then begins. */
function attach<Conf extends AttachConf, Found>(
  mode: Mode<Conf, Found>,
  call: Call,
  target: Target,
): void {
  const { deps, invocation } = call
  const conf = mode.read(target, readArgs(invocation, target.conf), call)
  const key = keyOf(call)
  const aliases = readAliases(call.conf)
  const earlier = findRecord(key)
  const features = earlier || wantsFeatures(call) ? readFeatures(call) : undefined
  using netns = openNewContainer(call)
  using host = new Connection(deps.openNetlink('route'))
  using inside = new Connection(deps.inNetns(netns, () => deps.openNetlink('route')))
  if (findLink(inside, invocation.ifname)) throw new InterfaceExists(invocation.ifname)
  const site = { call, key, target, conf, netns, host, inside }
  const found = mode.inspect(site)
  using undo = new Undo()
  const result = apply({ mode, site, found, features, aliases, earlier }, undo)
  call.print(renderResult(result, call.version))
  undo.forget()
}

/** A namespace that is gone needs no DEL (code 3), unless an earlier ADD of ours had it. */
function openNewContainer(call: Call): Netns {
  try {
    return openContainer(call)
  } catch (error) {
    if (!isNetnsError(error) || !error.gone || readRecord(keyOf(call))) throw error
    throw new CniError(errorCodes.unknownContainer, error.message, { cause: error })
  }
}

/**
 * Every step leaves in `undo` how to take it back. The record is there before the kernel is
 * touched. Addresses need none: they know their owner.
 */
function apply<Conf extends AttachConf, Found>(plan: Plan<Conf, Found>, undo: Undo): CniResult {
  const { mode, site, found, features, earlier } = plan
  const { call, target, conf } = site
  saveTarget(call, target, undo)
  const endpoint = planEndpoint(conf, allocateAddresses(call, target, conf.ipam, undo))
  requirePrintable(call.version, endpoint.ips.length > 0)
  const record = recordOf(plan, mode.plan(site, found, endpoint), endpoint)
  if (earlier) endEarlier(site, earlier, features)
  // Its firewall entries are gone by now: an undo must not have them put back.
  undo.defer(beginRecord(record, earlier && { ...earlier, ending: true }))
  const { result, hostLink, hostVeth } = mode.attach(site, found, { endpoint, record, undo })
  if (!features) return result
  const { tools, bandwidth } = features
  if (record.ports) tools.publish(call, hostLink, record.ports, undo)
  if (bandwidth) tools.shape(call, site.host, { hostVeth, bandwidth }, undo)
  return result
}

/** What DEL and the daemon must know. */
function recordOf<Conf extends AttachConf, Found>(
  { site, features, aliases }: Plan<Conf, Found>,
  link: LinkRecord,
  endpoint: Endpoint,
): AttachmentRecord {
  const { call, key, target, conf } = site
  return {
    ...key,
    link,
    ...(conf.masquerade && {
      masquerade: { exempt: exemptNetworks(endpoint, target.clusterNetworks).map(formatPrefix) },
    }),
    ...(features && portsOf(call, endpoint, features)),
    ...(aliases && { aliases }),
  }
}

/** Ports and shaping as the runtime asks for them, and the code that knows how. */
interface Features {
  readonly tools: ReturnType<Loaders['features']>
  readonly mappings: readonly PortMapping[]
  readonly bandwidth: Bandwidth | undefined
}

function readFeatures(call: Call): Features {
  const tools = call.deps.load.features()
  if (!wantsFeatures(call)) return { tools, mappings: [], bandwidth: undefined }
  const mappings = tools.readPortMappings(call.conf)
  return { tools, mappings, bandwidth: tools.readBandwidth(call.conf) }
}

function portsOf(
  call: Call,
  { addresses }: Endpoint,
  { tools, mappings }: Features,
): AttachmentParts {
  if (mappings.length === 0) return {}
  return { ports: tools.planPorts(call.conf, addresses, mappings) }
}

/** What the firewall still does for the container before, it would do to whoever is there now. */
function endEarlier(
  { call, key, host }: Site,
  earlier: AttachmentRecord,
  features: Features | undefined,
): void {
  markEnding(earlier)
  if (earlier.ports) features?.tools.unpublish(call, earlier)
  if (earlier.shaping) features?.tools.unshape(call, host, earlier)
  if (earlier.masquerade) stopMasquerade(key, earlier.link?.addresses ?? [], call.deps)
}
