/**
 * LimitRanger: gives containers the default requests and limits of their namespace, and refuses
 * pods and claims that ask for more, less, or in another proportion than its LimitRanges allow.
 *
 * Called by admission for new pods (defaults, then, when they are valid, bounds), and for pods that
 * are resized and new or changed claims (bounds).
 */
import { forbidden } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { compareQuantities, quantityMilliValue } from '#api/quantity.ts';
import { podTotal } from '#resources/quota/pod-total.ts';
import type {
  Container,
  LimitRange,
  LimitRangeItem,
  PersistentVolumeClaim,
  Pod,
  PodSpec,
} from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { storedObjects } from '../registry.ts';

const annotation = 'kubernetes.io/limit-ranger';

type Amounts = Readonly<Record<string, string>>;

function rangesOf(store: Store, namespace: string): readonly LimitRange[] {
  return storedObjects<LimitRange>(store, `limitranges/${namespace}/`);
}

export interface Limited {
  readonly hub: KubeObject;
  readonly namespace: string;
}

/** The pod with the defaults of its namespace. */
export function defaultPod(
  { store }: { readonly store: Store },
  { hub, namespace }: Limited,
): KubeObject {
  const ranges = rangesOf(store, namespace);
  if (ranges.length === 0) return hub;
  // The caller has checked the kind.
  let pod = hub as Pod;
  for (const range of ranges) pod = withDefaults(pod, range);
  return pod;
}

export function boundPod({ store }: { readonly store: Store }, { hub, namespace }: Limited): void {
  // The caller has checked the kind.
  const pod = hub as Pod;
  for (const range of rangesOf(store, namespace)) {
    const problems = (range.spec?.limits ?? []).flatMap((item) => podProblems(pod, item));
    if (problems.length > 0) refuse('pods', pod, problems);
  }
}

export function boundClaim(
  { store }: { readonly store: Store },
  { hub, namespace }: Limited,
): void {
  for (const range of rangesOf(store, namespace)) {
    // The caller has checked the kind.
    const { requests = {} } = (hub as PersistentVolumeClaim).spec?.resources ?? {};
    const problems: string[] = [];
    for (const { type, min = {}, max = {} } of range.spec?.limits ?? []) {
      if (type !== 'PersistentVolumeClaim') continue;
      for (const [name, bound] of Object.entries(min)) {
        problems.push(...tooLittle({ type, name, bound }, requests, {}));
      }
      for (const [name, bound] of Object.entries(max)) {
        const text = `maximum ${name} usage per ${type} is ${bound}`;
        const request = requests[name];
        if (request === undefined) problems.push(`${text}.  No request is specified`);
        else if (compareQuantities(request, bound) > 0) {
          problems.push(`${text}, but request is ${request}`);
        }
      }
    }
    if (problems.length > 0) refuse('persistentvolumeclaims', hub, problems);
  }
}

function refuse(resource: string, hub: KubeObject, problems: readonly string[]): never {
  const texts = [...new Set(problems)];
  const why = texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(', ')}]`;
  throw forbidden({ group: '', resource }, hub.metadata.name ?? '', why);
}

/** What was filled in is said in an annotation. */
function withDefaults(pod: Pod, range: LimitRange): Pod {
  const items = (range.spec?.limits ?? []).filter(({ type }) => type === 'Container');
  const limits: Amounts = Object.assign({}, ...items.map((item) => item.default));
  const requests: Amounts = Object.assign({}, ...items.map((item) => item.defaultRequest));
  const notes: string[] = [];
  const fill = (container: Container, word: string): Container => {
    const given = container.resources ?? {};
    const missing = (defaults: Amounts, amounts: Amounts | undefined): readonly string[] =>
      Object.keys(defaults)
        .filter((name) => amounts?.[name] === undefined)
        .sort();
    const newRequests = missing(requests, given.requests);
    const newLimits = missing(limits, given.limits);
    if (newRequests.length > 0) {
      notes.push(`${newRequests.join(', ')} request for ${word} ${container.name}`);
    }
    if (newLimits.length > 0) {
      notes.push(`${newLimits.join(', ')} limit for ${word} ${container.name}`);
    }
    if (newRequests.length === 0 && newLimits.length === 0) return container;
    const resources = {
      ...given,
      limits: { ...limits, ...given.limits },
      requests: { ...requests, ...given.requests },
    };
    return { ...container, resources };
  };
  const { spec } = pod;
  if (spec === undefined) return pod;
  const next: PodSpec = {
    ...spec,
    containers: (spec.containers ?? []).map((container) => fill(container, 'container')),
    ...(spec.initContainers === undefined
      ? {}
      : { initContainers: spec.initContainers.map((one) => fill(one, 'init container')) }),
  };
  if (notes.length === 0) return pod;
  const annotations = {
    ...pod.metadata.annotations,
    [annotation]: `LimitRanger plugin set: ${notes.join('; ')}`,
  };
  return { ...pod, metadata: { ...pod.metadata, annotations }, spec: next };
}

function podProblems({ spec }: Pod, item: LimitRangeItem): readonly string[] {
  const { containers = [], initContainers = [] } = spec ?? {};
  if (item.type === 'Container') {
    return [...containers, ...initContainers].flatMap(({ resources }) =>
      problemsOf(item, resources?.requests ?? {}, resources?.limits ?? {}),
    );
  }
  if (item.type !== 'Pod' || spec === undefined) return [];
  const total = (list: 'requests' | 'limits'): Amounts => totalOf(spec, list);
  return problemsOf(item, total('requests'), total('limits'));
}

/** What the pod says of itself as a whole wins over what its containers come to. */
function totalOf(spec: PodSpec, list: 'requests' | 'limits'): Amounts {
  const of = ({ resources }: Container): Amounts => resources?.[list] ?? {};
  return { ...podTotal(spec, { running: of, starting: of }), ...spec.resources?.[list] };
}

interface Bound {
  readonly type: string;
  readonly name: string;
  readonly bound: string;
}

function problemsOf(item: LimitRangeItem, requests: Amounts, limits: Amounts): readonly string[] {
  const { type } = item;
  const of = (list: Amounts | undefined): readonly Bound[] =>
    Object.entries(list ?? {}).map(([name, bound]) => ({ type, name, bound }));
  return [
    ...of(item.min).flatMap((bound) => tooLittle(bound, requests, limits)),
    ...of(item.max).flatMap((bound) => tooMuch(bound, requests, limits)),
    ...of(item.maxLimitRequestRatio).flatMap((bound) => tooFarApart(bound, requests, limits)),
  ];
}

function tooLittle({ type, name, bound }: Bound, requests: Amounts, limits: Amounts): string[] {
  const [request, limit] = [requests[name], limits[name]];
  const text = `minimum ${name} usage per ${type} is ${bound}`;
  if (request === undefined) return [`${text}.  No request is specified`];
  if (compareQuantities(request, bound) < 0) return [`${text}, but request is ${request}`];
  if (limit === undefined || compareQuantities(limit, bound) >= 0) return [];
  return [`${text}, but limit is ${limit}`];
}

function tooMuch({ type, name, bound }: Bound, requests: Amounts, limits: Amounts): string[] {
  const [request, limit] = [requests[name], limits[name]];
  const text = `maximum ${name} usage per ${type} is ${bound}`;
  if (limit === undefined) return [`${text}.  No limit is specified`];
  if (compareQuantities(limit, bound) > 0) return [`${text}, but limit is ${limit}`];
  if (request === undefined || compareQuantities(request, bound) <= 0) return [];
  return [`${text}, but request is ${request}`];
}

function tooFarApart({ type, name, bound }: Bound, requests: Amounts, limits: Amounts): string[] {
  const request = quantityMilliValue(requests[name] ?? '0');
  const limit = quantityMilliValue(limits[name] ?? '0');
  const text = `${name} max limit to request ratio per ${type} is ${bound}`;
  if (request === 0) return [`${text}, but no request is specified or request is 0`];
  if (limit === 0) return [`${text}, but no limit is specified or limit is 0`];
  if ((limit / request) * 1000 <= quantityMilliValue(bound)) return [];
  return [`${text}, but provided ratio is ${(limit / request).toFixed(6)}`];
}
