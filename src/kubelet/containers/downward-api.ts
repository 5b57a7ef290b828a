/**
 * What a pod may learn about itself: fields of its object and resources of its containers, as text.
 *
 * Used by environment variables (`env.ts`) and by downward API volumes. Pure.
 * Behaviour: kubernetes.io, "Downward API": available fields.
 */
import { quantityMilliValue, quantityValue } from '#api/quantity.ts';
import type { Container, Pod, ResourceFieldSelector } from '#resources/types/core-v1.ts';
import { startOrder } from '../pods/pod-facts.ts';

export interface Addresses {
  readonly podIPs: readonly string[];
  readonly hostIPs: readonly string[];
}

/** Unknown paths are refused when the pod is created; here they read as empty. */
export function podFieldValue(pod: Pod, fieldPath: string, addresses: Addresses): string {
  const { metadata, spec } = pod;
  const keyed = /^metadata\.(annotations|labels)\['(.*)'\]$/.exec(fieldPath);
  if (keyed !== null) {
    const map = keyed[1] === 'labels' ? metadata.labels : metadata.annotations;
    return map?.[keyed[2] ?? ''] ?? '';
  }
  switch (fieldPath) {
    case 'metadata.name':
      return metadata.name ?? '';
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'metadata.labels':
      return formatMap(metadata.labels);
    case 'metadata.annotations':
      return formatMap(metadata.annotations);
    case 'spec.nodeName':
      return spec?.nodeName ?? '';
    case 'spec.serviceAccountName':
      return spec?.serviceAccountName ?? '';
    case 'status.hostIP':
      return addresses.hostIPs[0] ?? '';
    case 'status.hostIPs':
      return addresses.hostIPs.join(',');
    case 'status.podIP':
      return addresses.podIPs[0] ?? '';
    case 'status.podIPs':
      return addresses.podIPs.join(',');
    default:
      return '';
  }
}

/** `key="value"` lines, sorted by key, values quoted. */
function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n');
}

/** What has no end of its own ends with what the node has. Huge pages are never overcommitted. */
const endless = ['cpu', 'memory', 'ephemeral-storage'];

/** `limits.cpu` and the like; what is not limited reads as the node's allocatable amount. */
export function resourceFieldValue(
  pod: Pod,
  own: Container | undefined,
  selector: ResourceFieldSelector,
  allocatable: Readonly<Record<string, string>>,
): string {
  const container = startOrder(pod).find(({ name }) => name === selector.containerName) ?? own;
  const [list, ...rest] = selector.resource.split('.');
  const name = rest.join('.');
  const { limits, requests } = container?.resources ?? {};
  const said = (list === 'limits' ? limits : requests)?.[name] ?? '0';
  const isEndless = list === 'limits' && endless.includes(name) && quantityMilliValue(said) === 0;
  const amount = isEndless ? (allocatable[name] ?? said) : said;
  const divisor = selector.divisor ?? '1';
  const scale = divisor === '0' || divisor === '' ? '1' : divisor;
  const result =
    name === 'cpu'
      ? Math.ceil(quantityMilliValue(amount) / quantityMilliValue(scale))
      : Math.ceil(quantityValue(amount) / quantityValue(scale));
  return String(result);
}
