/**
 * The `resolv.conf` and `/etc/hosts` of a pod. Pure.
 *
 * ClusterFirst asks the cluster's DNS and searches the pod's namespace first; Default takes the
 * node's; None only what `dnsConfig` says; a pod in the host's network counts as Default unless it
 * says ClusterFirstWithHostNet. `dnsConfig` is added to any of them. What resolvers would not
 * look at is left out, and told of.
 */
import { parseAddress } from '#kit/ip-network.ts';
import type { Pod } from '#resources/types/core-v1.ts';

export interface DnsOptions {
  readonly clusterDNS: readonly string[];
  readonly clusterDomain: string;
  /** Text of the node's own resolv.conf; undefined where pods are to inherit none. */
  readonly nodeResolvConf: string | undefined;
  readonly hostIPs: readonly string[];
}

export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface DnsWarning {
  readonly reason: 'DNSConfigForming' | 'MissingClusterDNS';
  readonly message: string;
  /** What the node is told to lack itself. */
  readonly ofNode?: string;
}

/** Most name servers that resolvers look at. */
const serversMax = 3;
const searchesMax = 32;
/** With the spaces between them. */
const searchLineLengthMax = 2048;
/** Some resolvers end their program when a search is longer. */
const searchLengthMax = 253;

function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = [];
  let searches: readonly string[] = [];
  let options: readonly string[] = [];
  for (const line of text.split('\n')) {
    const [word, ...values] = line.trim().split(/\s+/);
    if (word === 'nameserver' && values[0] !== undefined) servers.push(values[0]);
    else if (word === 'search') searches = values.map((each) => each.replace(/(.)\.$/, '$1'));
    else if (word === 'options') options = values;
  }
  return { servers, searches, options };
}

export function dnsConfigOf(pod: Pod, options: DnsOptions): DnsConfig {
  const { servers, searches, options: settings } = composed(pod, options);
  return {
    servers: servers.slice(0, serversMax),
    searches: fittingSearches(searches),
    options: settings,
  };
}

/** Why a pod does not have all that was said: for its events. */
export function dnsWarningsOf(pod: Pod, options: DnsOptions): readonly DnsWarning[] {
  const wanted = composed(pod, options);
  const { servers, searches } = dnsConfigOf(pod, options);
  const warnings: DnsWarning[] = [];
  if (asksCluster(pod) && options.clusterDNS.length === 0) {
    const { name, namespace, uid } = pod.metadata;
    const policy = pod.spec?.dnsPolicy ?? 'ClusterFirst';
    const why =
      `kubelet does not have ClusterDNS IP configured and cannot create Pod using "${policy}" ` +
      'policy. Falling back to "Default" policy.';
    const message = `pod: "${name}_${namespace}(${uid})". ${why}`;
    warnings.push({ reason: 'MissingClusterDNS', message, ofNode: why });
  }
  const forming = (message: string): void => {
    warnings.push({ reason: 'DNSConfigForming', message });
  };
  if (servers.length < wanted.servers.length) {
    forming(
      'Nameserver limits were exceeded, some nameservers have been omitted, ' +
        `the applied nameserver line is: ${servers.join(' ')}`,
    );
  }
  if (searches.length < wanted.searches.length) {
    forming(
      'Search Line limits were exceeded, some search paths have been omitted, ' +
        `the applied search line is: ${searches.join(' ')}`,
    );
  }
  return warnings;
}

function composed(pod: Pod, options: DnsOptions): DnsConfig {
  const base = baseConfig(pod, options);
  const extra = pod.spec?.dnsConfig;
  if (extra === undefined) return base;
  const more = (extra.options ?? []).map(({ name = '', value }) =>
    value === undefined ? name : `${name}:${value}`,
  );
  const replaced = new Set(more.map((option) => option.split(':')[0]));
  const kept = base.options.filter((option) => !replaced.has(option.split(':')[0]));
  return {
    servers: unique([...base.servers, ...(extra.nameservers ?? [])]),
    searches: unique([...base.searches, ...(extra.searches ?? [])]),
    options: [...kept, ...more],
  };
}

/** The first of them, as many as there may be; of a line that is too long the last ones go. */
function fittingSearches(searches: readonly string[]): readonly string[] {
  const short = searches.slice(0, searchesMax).filter(({ length }) => length <= searchLengthMax);
  while (short.join(' ').length > searchLineLengthMax) short.pop();
  return short;
}

/** It would ask the cluster's DNS, if there was one. */
function asksCluster({ spec }: Pod): boolean {
  const policy = spec?.dnsPolicy ?? 'ClusterFirst';
  if (policy === 'ClusterFirstWithHostNet') return true;
  return policy === 'ClusterFirst' && spec?.hostNetwork !== true;
}

/** Nobody's settings: whom the machine itself asks, so that the runtime adds none of its own. */
function inheritsNone(hostIPs: readonly string[]): DnsConfig {
  const loopbacks = hostIPs.map((ip) =>
    parseAddress(ip)?.family === 'IPv6' ? '::1' : '127.0.0.1',
  );
  const servers = loopbacks.length === 0 ? ['127.0.0.1'] : unique(loopbacks);
  return { servers, searches: ['.'], options: [] };
}

function baseConfig(pod: Pod, options: DnsOptions): DnsConfig {
  const { clusterDNS, clusterDomain, nodeResolvConf } = options;
  if (pod.spec?.dnsPolicy === 'None') return { servers: [], searches: [], options: [] };
  const node = parseResolvConf(nodeResolvConf ?? '');
  if (!asksCluster(pod) || clusterDNS.length === 0) {
    return nodeResolvConf === undefined ? inheritsNone(options.hostIPs) : node;
  }
  const cluster = [
    `${pod.metadata.namespace}.svc.${clusterDomain}`,
    `svc.${clusterDomain}`,
    clusterDomain,
  ];
  return {
    servers: clusterDNS,
    searches: unique([...cluster, ...node.searches]),
    options: ['ndots:5'],
  };
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}

export function hostnameOf(pod: Pod): string {
  const { hostname, hostnameOverride } = pod.spec ?? {};
  const name = hostnameOverride ?? (hostname || pod.metadata.name || '');
  return name.slice(0, 63).replace(/[-.]+$/, '');
}

/** Empty for a pod that has no domain, or whose name is not to be put below one. */
function fullHostnameOf(pod: Pod, clusterDomain: string): string {
  const { subdomain, hostnameOverride } = pod.spec ?? {};
  if (hostnameOverride !== undefined || subdomain === undefined || subdomain === '') return '';
  return `${hostnameOf(pod)}.${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}`;
}

/** What a kernel takes for a name. */
const nodenameLengthMax = 64;

/** What the pod's processes are told when they ask for the name of their machine. */
export function nodenameOf(pod: Pod, clusterDomain: string): string {
  const full = fullHostnameOf(pod, clusterDomain);
  if (pod.spec?.setHostnameAsFQDN !== true || full === '') return hostnameOf(pod);
  if (full.length <= nodenameLengthMax) return full;
  throw new Error(
    `failed to construct FQDN from pod hostname and cluster domain, FQDN ${full} is too long ` +
      `(${nodenameLengthMax} characters is the max, ${full.length} characters requested)`,
  );
}

/** The kubelet's own hosts file: containerd would copy the host's. */
export function formatHostsFile(pod: Pod, ips: readonly string[], clusterDomain: string): string {
  const names = [fullHostnameOf(pod, clusterDomain), hostnameOf(pod)].filter((name) => name !== '');
  const lines = [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    ...ips.map((ip) => [ip, ...names].join('\t')),
  ];
  return `${[...lines, ...aliasLines(pod)].join('\n')}\n`;
}

/** For a pod in the host's network: the host's file with the pod's aliases. */
export function formatHostNetworkHostsFile(pod: Pod, hostFile: string): string {
  const head = '# Kubernetes-managed hosts file (host network).\n';
  const aliases = aliasLines(pod);
  return aliases.length === 0 ? head + hostFile : `${head}${hostFile}${aliases.join('\n')}\n`;
}

function aliasLines(pod: Pod): readonly string[] {
  const aliases = pod.spec?.hostAliases ?? [];
  if (aliases.length === 0) return [];
  return [
    '',
    '# Entries added by HostAliases.',
    ...aliases.map(({ ip, hostnames = [] }) => [ip, ...hostnames].join('\t')),
  ];
}
