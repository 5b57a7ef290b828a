/**
 * The `resolv.conf` and `/etc/hosts` of a pod. Pure.
 *
 * ClusterFirst asks the cluster's DNS and searches the pod's namespace first; Default takes the
 * node's; None only what `dnsConfig` says; a pod in the host's network counts as Default unless it
 * says ClusterFirstWithHostNet. `dnsConfig` is added to any of them.
 */
import type { Pod } from '#resources/types/core-v1.ts';

export interface DnsOptions {
  readonly clusterDNS: readonly string[];
  readonly clusterDomain: string;
  /** Text of the node's own resolv.conf. */
  readonly nodeResolvConf: string;
}

export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

/** Most name servers that resolvers look at. */
const serversMax = 3;

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
  const base = baseConfig(pod, options);
  const extra = pod.spec?.dnsConfig;
  if (extra === undefined) return base;
  const more = (extra.options ?? []).map(({ name = '', value }) =>
    value === undefined ? name : `${name}:${value}`,
  );
  const replaced = new Set(more.map((option) => option.split(':')[0]));
  const kept = base.options.filter((option) => !replaced.has(option.split(':')[0]));
  return {
    servers: unique([...base.servers, ...(extra.nameservers ?? [])]).slice(0, serversMax),
    searches: unique([...base.searches, ...(extra.searches ?? [])]),
    options: [...kept, ...more],
  };
}

function baseConfig(pod: Pod, options: DnsOptions): DnsConfig {
  const { clusterDNS, clusterDomain, nodeResolvConf } = options;
  const policy = pod.spec?.dnsPolicy ?? 'ClusterFirst';
  if (policy === 'None') return { servers: [], searches: [], options: [] };
  const node = parseResolvConf(nodeResolvConf);
  const asNode =
    policy === 'Default' || (policy === 'ClusterFirst' && pod.spec?.hostNetwork === true);
  if (asNode || clusterDNS.length === 0)
    return { ...node, servers: node.servers.slice(0, serversMax) };
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
