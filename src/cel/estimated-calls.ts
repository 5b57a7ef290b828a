/**
 * What a call will cost, by the sizes that its operands can have; the prices are those of
 * `call-costs.ts`, looked at from before the run. Where one is not listed the call costs one.
 *
 * Which expressions may be stored is decided by these figures, so they are upstream's.
 */
import { costs } from './call-costs.ts';
import { type CelType, sameType, types } from './cel-type.ts';
import {
  add,
  type Estimate,
  exactly,
  multiply,
  one,
  scale,
  union,
  unknownSize,
  unlimited,
} from './estimate.ts';
import type { Expression } from './syntax.ts';

/** An operand: what is known of it. */
export interface Operand {
  readonly node: Expression | undefined;
  readonly type: CelType;
  readonly size: Estimate | undefined;
  /** What an element of it is, if it is a list. */
  readonly element: (() => Operand) | undefined;
}

export interface CallEstimate {
  readonly cost: Estimate;
  readonly size?: Estimate;
}

export interface EstimatedCall {
  readonly name: string;
  readonly id: string;
  readonly target: Operand | undefined;
  readonly args: readonly Operand[];
}

const nominal = new Set([
  ...['sign', 'asInteger', 'isInteger', 'asApproximateFloat', 'isGreaterThan', 'isLessThan'],
  ...['compareTo', 'add', 'sub', 'major', 'minor', 'patch', 'format.named'],
  ...['getScheme', 'getHostname', 'getHost', 'getPort', 'getEscapedPath', 'getQuery'],
  ...['masked', 'prefixLength', 'family', 'isUnspecified', 'isLoopback', 'isLinkLocalMulticast'],
  ...['isLinkLocalUnicast', 'isGlobalUnicast'],
]);
const parses = new Set([
  ...['cidr', 'isIP', 'isCIDR', 'ip', 'quantity', 'isQuantity', 'semver', 'isSemver'],
]);

/** Undefined where the general rule holds. */
export function estimateCall(call: EstimatedCall): CallEstimate | undefined {
  return estimateList(call) ?? estimateNamed(call);
}

export function sizeOfOperand(operand: Operand | undefined): Estimate {
  return operand?.size ?? unknownSize;
}

function walk(size: Estimate, times = 1): Estimate {
  return scale(size, times * costs.traversal);
}

function estimateList({ id, target, args }: EstimatedCall): CallEstimate | undefined {
  const size = sizeOfOperand(target);
  const [first, second] = args;
  switch (id) {
    case 'list_sets_contains_list':
    case 'list_sets_intersects_list':
      return { cost: add(multiply(sizeOfOperand(first), sizeOfOperand(second)), one) };
    case 'list_sets_equivalent_list': {
      const product = multiply(sizeOfOperand(first), sizeOfOperand(second));
      return { cost: add(scale(product, 2), one) };
    }
    case 'list_slice': {
      // An end before the start goes round, as numbers without a sign do.
      const length = intValue(second, size.most) - intValue(first, 0n);
      return allocate(1, exactly(BigInt.asUintN(64, length)));
    }
    case 'lists_range':
      return allocate(1, exactly(intValue(first, unlimited)));
    case 'list_reverse':
      return allocate(1, size);
    case 'list_flatten':
      return allocate(1, size);
    case 'list_flatten_int':
      return allocate(Number(intValue(first, unlimited)), size);
    case 'list_distinct':
      return allocate(2, multiply(size, size));
    default: {
      const by = id.endsWith('_sortByAssociatedKeys');
      if (!by && !id.endsWith('_sort')) return undefined;
      const sorted = by ? sizeOfOperand(first) : size;
      const texts = /^list_(string|bytes)_/.test(id);
      return allocate(texts ? 2 + costs.traversal : 2, multiply(sorted, sorted));
    }
  }
}

function allocate(factor: number, size: Estimate): CallEstimate {
  return { cost: add(scale(size, factor), one, exactly(costs.createList)), size };
}

function intValue(operand: Operand | undefined, otherwise: bigint): bigint {
  const node = operand?.node;
  return node?.is === 'literal' && typeof node.value === 'bigint' && node.value >= 0n
    ? node.value
    : otherwise;
}

function estimateNamed(call: EstimatedCall): CallEstimate | undefined {
  const { name, id, target, args } = call;
  const [first, second] = args;
  const size = sizeOfOperand(target);
  if (id === 'cidr_ip' || nominal.has(name)) return { cost: one };
  if (parses.has(name) && first !== undefined) return { cost: walk(sizeOfOperand(first)) };
  switch (name) {
    case 'isSorted':
    case 'sum':
    case 'max':
    case 'min':
    case 'indexOf':
    case 'lastIndexOf':
      return target === undefined ? undefined : { cost: estimateWalk(target) };
    case 'url':
      return { cost: walk(sizeOfOperand(first)), size: sizeOfOperand(first) };
    case 'lowerAscii':
    case 'upperAscii':
    case 'substring':
    case 'trim':
      return { cost: walk(size), size };
    case 'replace':
      return { cost: walk(size, 2), size: replacedSize(size, first, second) };
    case 'split': {
      const most = intValue(second, size.most);
      return { cost: walk(size, 2), size: { least: 0n, most } };
    }
    case 'join':
      return target === undefined ? undefined : estimateJoin(target, first);
    case 'find':
    case 'findAll':
      return { cost: matching(size, first), size: { least: 0n, most: size.most } };
    case 'ip.isCanonical':
      return { cost: walk(sizeOfOperand(first), 2) };
    case 'containsIP':
    case 'containsCIDR':
      return { cost: estimateContains(call) };
    case 'validate': {
      const cost = scale(walk(sizeOfOperand(first)), formatPatternMax * costs.pattern);
      return { cost };
    }
    case 'includes':
      // As many as it looks at.
      return { cost: { least: 0n, most: 48n } };
    case '_==_':
      return first !== undefined && second !== undefined ? estimateEqual(first, second) : undefined;
    default:
      return undefined;
  }
}

/** The longest pattern that a named format has. */
const formatPatternMax = 128;

function estimateWalk(target: Operand): Estimate {
  if (target.element === undefined) return walk(sizeOfOperand(target));
  const element = target.element();
  const texts = sameType(element.type, types.string) || sameType(element.type, types.bytes);
  const each = texts ? add(one, walk(sizeOfOperand(element))) : one;
  return multiply(sizeOfOperand(target), each);
}

export function matching(size: Estimate, pattern: Operand | undefined): Estimate {
  return multiply(walk(add(size, one)), scale(sizeOfOperand(pattern), costs.pattern));
}

function replacedSize(
  size: Estimate,
  from: Operand | undefined,
  to: Operand | undefined,
): Estimate {
  const [replaced, by] = [sizeOfOperand(from), sizeOfOperand(to)];
  const end = (
    length: bigint,
    { part, made, keeps }: { part: bigint; made: bigint; keeps: boolean },
  ): { count: bigint; kept: bigint } => {
    // An empty part stands between all characters and around them.
    if (part === 0n) return { count: length < unlimited ? length + 1n : length, kept: length };
    if (keeps) return { count: 0n, kept: length };
    return { count: BigInt(Math.ceil(Number(length) / Number(part))), kept: made * 0n };
  };
  const most = end(size.most, {
    part: replaced.least,
    made: by.most,
    keeps: by.most <= replaced.least,
  });
  const least = end(size.least, {
    part: replaced.most,
    made: by.least,
    keeps: replaced.most <= by.least,
  });
  const count = { least: least.count, most: most.count };
  return add(multiply(count, by), { least: least.kept, most: most.kept });
}

function estimateJoin(target: Operand, separator: Operand | undefined): CallEstimate {
  const list = sizeOfOperand(target);
  const element = target.element?.();
  let size = element === undefined ? exactly(0) : multiply(list, sizeOfOperand(element));
  if (separator !== undefined) {
    const between = {
      least: list.least > 0n ? list.least - 1n : 0n,
      most: list.most > 0n ? list.most - 1n : 0n,
    };
    size = add(size, multiply(sizeOfOperand(separator), between));
  }
  return { cost: walk(size), size };
}

/** Addresses are 4 or 16 bytes. */
function estimateContains({ name, id, args }: EstimatedCall): Estimate {
  const address = { least: 4n, most: 16n };
  const base = walk(add(address, address));
  const masked = name === 'containsCIDR' ? add(walk(address), one) : exactly(0);
  const parsed = id.endsWith('_string') ? walk(sizeOfOperand(args[0])) : exactly(0);
  return add(base, masked, parsed);
}

function estimateEqual(left: Operand, right: Operand): CallEstimate | undefined {
  if (!sameType(left.type, right.type)) return undefined;
  switch (left.type.name) {
    case 'net.IP':
    case 'net.CIDR':
    case 'kubernetes.Quantity':
    case 'kubernetes.Semver':
      return { cost: one };
    case 'kubernetes.NamedFormat':
      return { cost: walk({ least: 1n, most: 64n }) };
    case 'kubernetes.URL': {
      const most = right.size === undefined ? 1n : union(right.size, right.size).most;
      return { cost: walk({ least: 1n, most }) };
    }
    default:
      return undefined;
  }
}
