/**
 * Tells clients that the version of a kind that they speak is on its way out, or gone upstream:
 * `Warning: 299 - "extensions/v1beta1 Ingress is deprecated in v1.14+, unavailable in v1.22+; use
 * networking.k8s.io/v1 Ingress"`. kubectl prints that. Also counted, so that an administrator can
 * find out whether anybody still does.
 *
 * Between authorize and route; the versions and the text are upstream's.
 */
import type { Parts } from '../parts.ts';
import type { RequestInfo } from '../request.ts';

/** Since which minor release, until which, and where to go instead (the same group: `v1`). */
interface Fate {
  readonly since: number;
  readonly gone?: number;
  readonly use?: string;
}

const apps = (since: number): Fate => ({ since, gone: 16, use: 'apps/v1' });
const same = (since: number, gone: number): Fate => ({ since, gone, use: 'same' });

const fates: Readonly<Record<string, Fate>> = {
  'v1 ComponentStatus': { since: 19 },
  'v1 Endpoints': { since: 33, use: 'discovery.k8s.io/v1 EndpointSlice' },
  'extensions/v1beta1 DaemonSet': apps(8),
  'extensions/v1beta1 Deployment': apps(8),
  'extensions/v1beta1 ReplicaSet': apps(8),
  'extensions/v1beta1 Ingress': { since: 14, gone: 22, use: 'networking.k8s.io/v1' },
  'extensions/v1beta1 NetworkPolicy': { since: 9, gone: 16, use: 'networking.k8s.io/v1' },
  'networking.k8s.io/v1beta1 Ingress': same(19, 22),
  'networking.k8s.io/v1beta1 IngressClass': same(19, 22),
  'networking.k8s.io/v1beta1': { since: 34, gone: 37 },
  'apps/v1beta1': apps(8),
  'apps/v1beta2': apps(9),
  'batch/v1beta1': same(21, 25),
  'batch/v2alpha1': same(21, 21),
  'policy/v1beta1': same(21, 25),
  'scheduling.k8s.io/v1beta1': same(14, 22),
  'rbac.authorization.k8s.io/v1beta1': same(17, 22),
  'storage.k8s.io/v1beta1 CSINode': same(17, 22),
  'storage.k8s.io/v1beta1 CSIStorageCapacity': same(24, 27),
  'storage.k8s.io/v1beta1 VolumeAttributesClass': same(34, 37),
  'storage.k8s.io/v1beta1': same(19, 22),
  'node.k8s.io/v1beta1': { since: 22, gone: 25 },
  'node.k8s.io/v1alpha1': { since: 22, gone: 25 },
  'certificates.k8s.io/v1beta1': same(19, 22),
};

/** Puts the warning into the headers of the answer, whatever it will be. */
export function warnOfVersion(
  { catalog, metrics }: Pick<Parts, 'catalog' | 'metrics'>,
  info: RequestInfo,
  headers: Record<string, string>,
): void {
  if (info.type === 'path') return;
  const { group, version, plural, subresource } = info;
  if (subresource !== '' && subresource !== 'status') return;
  const at = group === '' ? version : `${group}/${version}`;
  // Nearly every request ends here.
  if (version === 'v1' && plural !== 'endpoints' && plural !== 'componentstatuses') return;
  const kind = catalog.findServed(info, plural)?.resource.kind;
  if (kind === undefined) return;
  const fate = fates[`${at} ${kind}`] ?? fates[at];
  if (fate === undefined) return;
  headers['warning'] = `299 - "${textOf(at, kind, fate)}"`;
  const removed = fate.gone === undefined ? '' : `1.${fate.gone}`;
  metrics.noteDeprecated({
    group,
    version,
    resource: plural,
    subresource,
    removed_release: removed,
  });
}

function textOf(at: string, kind: string, { since, gone, use }: Fate): string {
  const until = gone === undefined ? '' : `, unavailable in v1.${gone}+`;
  return `${at} ${kind} is deprecated in v1.${since}+${until}${placeOf(at, kind, use)}`;
}

function placeOf(at: string, kind: string, use: string | undefined): string {
  if (use === undefined) return '';
  if (use.includes(' ')) return `; use ${use}`;
  const [group = ''] = at.split('/');
  return `; use ${use === 'same' ? `${group}/v1` : use} ${kind}`;
}
