/**
 * What a call costs when it runs, by the sizes of its values.
 *
 * One unit is about 50 ns of the reference implementation. The prices are part of Kubernetes' API:
 * an expression that runs there within its limit has to run here. What is not listed costs one.
 *
 * Worked example: `"hello".contains("ll")` costs ⌈5 × 0.1⌉ × ⌈2 × 0.1⌉ = 1.
 *
 * Behaviour: cel-go, "Cost"; kubernetes.io, "Common Expression Language", cost limits.
 */
import { type CelValue, isList, MapValue, Opaque, sizeOf } from './values.ts';

export const costs = {
  select: 1,
  createList: 10,
  createMap: 30,
  createStruct: 40,
  /** For each character that is gone over. */
  traversal: 0.1,
  /** For each character of a pattern. */
  pattern: 0.25,
  /** Question to the authorizer: two of them are all that an expression may ask. */
  authorization: 350_000,
} as const;

const flat = new Set([
  ...['sign', 'asInteger', 'isInteger', 'asApproximateFloat', 'isGreaterThan', 'isLessThan'],
  ...['compareTo', 'add', 'sub', 'major', 'minor', 'patch', 'format.named'],
  ...['getScheme', 'getHostname', 'getHost', 'getPort', 'getEscapedPath', 'getQuery'],
  ...['masked', 'prefixLength', 'family', 'isUnspecified', 'isLoopback', 'isLinkLocalMulticast'],
  ...['isLinkLocalUnicast', 'isGlobalUnicast'],
]);
const walksOnce = new Set([
  ...['url', 'lowerAscii', 'upperAscii', 'substring', 'trim', 'jsonpatch.escapeKey', 'isQuantity'],
  ...['cidr', 'isIP', 'isCIDR', 'ip', 'quantity', 'semver', 'isSemver'],
]);
const walksList = new Set(['isSorted', 'sum', 'max', 'min', 'indexOf', 'lastIndexOf']);
const walksFirst = new Set([
  ...['starts_with_string', 'ends_with_string', 'string_to_bytes', 'bytes_to_string'],
  ...['strings_quote', 'string_format'],
]);

/** `id` is empty where the overload is not known beforehand. */
export function callCost(
  name: string,
  id: string,
  values: readonly CelValue[],
  result: CelValue,
): number {
  const [first = null, second = null] = values;
  return (
    listCost(id, values, result) ?? namedCost(name, id, values, result) ?? plain(id, first, second)
  );
}

function walk(size: number, times = 1): number {
  return Math.ceil(size * times * costs.traversal);
}

/** Lists and sets, which say themselves what they cost. */
function listCost(id: string, values: readonly CelValue[], result: CelValue): number | undefined {
  const [first = null, second = null] = values;
  switch (id) {
    case 'list_sets_contains_list':
    case 'list_sets_intersects_list':
      return 1 + sizeOf(first) * sizeOf(second);
    case 'list_sets_equivalent_list':
      return 1 + sizeOf(first) * sizeOf(second) * 2;
    case 'list_slice':
    case 'lists_range':
    case 'list_reverse':
      return allocate(1, sizeOf(result));
    case 'list_flatten':
      return allocate(1, sizeOf(first));
    case 'list_flatten_int':
      return allocate(Number(second), sizeOf(first));
    case 'list_distinct':
      return compareAll(first);
    default:
      if (id.endsWith('_sort')) return compareAll(first);
      return id.endsWith('_sortByAssociatedKeys') ? compareAll(second) : undefined;
  }
}

function allocate(factor: number, size: number): number {
  return Math.floor(size * factor) + 1 + costs.createList;
}

/** Every element with every other: what sorting is taken to be. */
function compareAll(list: CelValue): number {
  const first = isList(list) ? list[0] : undefined;
  const texts = typeof first === 'string' || first instanceof Uint8Array;
  return allocate(texts ? 2 + costs.traversal : 2, sizeOf(list) ** 2);
}

function namedCost(
  name: string,
  id: string,
  values: readonly CelValue[],
  result: CelValue,
): number | undefined {
  const [first = null, second = null] = values;
  if (id === 'cidr_ip' || flat.has(name)) return 1;
  if (walksOnce.has(name)) return walk(sizeOf(first));
  if (walksList.has(name)) return traversal(first);
  switch (name) {
    case 'replace':
    case 'split':
    case 'ip.isCanonical':
      return walk(sizeOf(first), 2);
    case 'join':
      return walk(sizeOf(result), 2);
    case 'find':
    case 'findAll':
      return matching(first, second);
    case 'containsIP':
      return walk(sizeOf(first), 2) + (id === 'cidr_contains_ip_string' ? walk(sizeOf(second)) : 0);
    case 'containsCIDR': {
      const parse = id === 'cidr_contains_cidr_string' ? walk(sizeOf(second)) : 0;
      return walk(sizeOf(first), 2) + walk(sizeOf(first)) + 1 + parse;
    }
    case 'validate': {
      const pattern =
        first instanceof Opaque && 'patternMax' in first ? Number(first.patternMax) : 0;
      return walk(1 + sizeOf(second)) * Math.ceil(pattern * costs.pattern);
    }
    case 'check':
      return costs.authorization;
    default:
      return name === '_==_' && first instanceof Opaque ? 1 : undefined;
  }
}

function matching(text: CelValue, pattern: CelValue): number {
  return walk(1 + sizeOf(text)) * Math.ceil(sizeOf(pattern) * costs.pattern);
}

function plain(id: string, first: CelValue, second: CelValue): number {
  if (walksFirst.has(id)) return walk(sizeOf(first));
  switch (id) {
    case 'in_list':
      return sizeOf(second);
    case 'add_string':
    case 'add_bytes':
      return walk(sizeOf(first) + sizeOf(second));
    case 'matches_string':
      return matching(first, second);
    case 'contains_string':
      return walk(sizeOf(first)) * walk(sizeOf(second));
    case 'equals':
    case 'not_equals':
      return walk(Math.min(sizeOf(first), sizeOf(second)));
    default: {
      const compares = /^(less|greater)(_equals)?_(string|bytes)$/.test(id);
      return compares ? walk(Math.min(sizeOf(first), sizeOf(second))) : 1;
    }
  }
}

/** A value gone over as a tree: texts by their bytes, all else by one. */
function traversal(value: CelValue): number {
  if (typeof value === 'string') return Math.floor(Buffer.byteLength(value) * costs.traversal);
  if (value instanceof Uint8Array) return Math.floor(value.length * costs.traversal);
  if (isList(value)) return value.reduce<number>((sum, one) => sum + traversal(one), 0);
  if (!(value instanceof MapValue)) return 1;
  let sum = 0;
  for (const key of value.keys()) sum += traversal(key) + traversal(value.get(key) ?? null);
  return sum;
}
