/**
 * What the proxy's nftables table is made of, as data: elements of maps and sets, chains of rules,
 * and memories of clients (sets whose elements expire). And how each is written for `nft`.
 *
 * Rules are compared as IPv4 writes them; those of a table of IPv6 differ in a word (`Words`).
 *
 * A small language on purpose: the packet tracer of the tests understands all of it.
 * `service-plan.ts` produces items, `ruleset.ts` compares them, `nft.ts` applies the difference.
 */

/** The maps and sets of the table; their types are in `tableText` (nft.ts). */
export type SetName =
  /** address . protocol . port → chain, or drop; for all addresses of services. */
  | 'service-addresses'
  /** protocol . port → chain: the same port on every address of the node. */
  | 'node-ports'
  | EndpointMap
  /** Endpoints that may call themselves through a service: address . address. */
  | 'hairpins'
  /** Whatever is still addressed to one of these in the end is refused. */
  | 'cluster-addresses'
  /** External addresses and node ports of services without endpoints: refused. */
  | 'empty-addresses'
  | 'empty-node-ports';

export type Condition =
  | { readonly source: 'in' | 'not in'; readonly ranges: readonly string[] }
  /** The packet comes from this machine itself. */
  | { readonly source: 'local' }
  /** The client is remembered there. */
  | { readonly source: 'remembered'; readonly memory: string };

export type Statement =
  /** Replies must come back through this node: take the node's address on the way out. */
  | { readonly do: 'mark' }
  | { readonly do: 'drop' }
  | { readonly do: 'goto'; readonly chain: string }
  /** One endpoint of `count`, by chance, from the map of this place and protocol. */
  | {
      readonly do: 'choose';
      readonly place: EndpointPlace;
      readonly protocol: Protocol;
      readonly count: number;
    }
  /** One chain by chance. */
  | { readonly do: 'spread'; readonly chains: readonly string[] }
  | { readonly do: 'remember'; readonly memory: string }
  | { readonly do: 'redirect'; readonly to: string; readonly protocol: Protocol };

export const protocols = ['tcp', 'udp', 'sctp'] as const;
export type Protocol = (typeof protocols)[number];

/**
 * The endpoints of all places by number, for each protocol:
 * - `service`: address . port . index → endpoint address . port
 * - `service-local`: the same, endpoints on this node, for external addresses with policy Local
 * - `node` and `node-local`: port . index → endpoint address . port, for node ports
 */
export const endpointPlaces = ['service', 'service-local', 'node', 'node-local'] as const;
export type EndpointPlace = (typeof endpointPlaces)[number];
export type EndpointMap = `${Protocol}-${EndpointPlace}-endpoints`;

export type Rule = Statement & { readonly when?: Condition };

export type Item =
  | {
      readonly kind: 'element';
      readonly set: SetName;
      readonly key: string;
      /** Absent in sets. */
      readonly value?: string;
    }
  | { readonly kind: 'chain'; readonly name: string; readonly rules: readonly Rule[] }
  | { readonly kind: 'memory'; readonly name: string; readonly timeoutSeconds: number };

/** The bit that upstream uses too; rules of administrators know it. */
export const masqueradeMark = '0x4000';

export function itemId(item: Item): string {
  if (item.kind === 'element') return `${item.set} ${item.key}`;
  return `${item.kind} ${item.name}`;
}

/** Two items with the same id and the same content are the same. */
export function itemContent(item: Item): string {
  switch (item.kind) {
    case 'element':
      return item.value ?? '';
    case 'chain':
      return item.rules.map((rule) => formatRule(rule)).join('\n');
    case 'memory':
      return String(item.timeoutSeconds);
    default:
      return item satisfies never;
  }
}

export function endpointMap(of: {
  readonly place: EndpointPlace;
  readonly protocol: Protocol;
}): EndpointMap {
  return `${of.protocol}-${of.place}-endpoints`;
}

/** How nft calls a family: of tables, and of the addresses in their rules. */
export type Words = 'ip' | 'ip6';

export function formatRule(rule: Rule, ip: Words = 'ip'): string {
  const condition = rule.when === undefined ? '' : `${formatCondition(rule.when, ip)} `;
  return `${condition}${formatStatement(rule, ip)}`;
}

function formatCondition(condition: Condition, ip: Words): string {
  switch (condition.source) {
    case 'in':
      return `${ip} saddr { ${condition.ranges.join(', ')} }`;
    case 'not in':
      return `${ip} saddr != { ${condition.ranges.join(', ')} }`;
    case 'local':
      return 'fib saddr type local';
    case 'remembered':
      return `${ip} saddr @${condition.memory}`;
    default:
      return condition satisfies never;
  }
}

function formatStatement(rule: Statement, ip: Words): string {
  switch (rule.do) {
    case 'mark':
      return `meta mark set meta mark or ${masqueradeMark}`;
    case 'drop':
      return 'drop';
    case 'goto':
      return `goto ${rule.chain}`;
    case 'choose': {
      const address = rule.place.startsWith('service') ? `${ip} daddr . ` : '';
      const key = `${address}${rule.protocol} dport . numgen random mod ${rule.count}`;
      return `dnat ${ip} to ${key} map @${endpointMap(rule)}`;
    }
    case 'spread': {
      const choices = rule.chains.map((chain, index) => `${index} : goto ${chain}`);
      return `numgen random mod ${choices.length} vmap { ${choices.join(', ')} }`;
    }
    case 'remember':
      return `update @${rule.memory} { ${ip} saddr }`;
    case 'redirect':
      return `meta l4proto ${rule.protocol} dnat ${ip} to ${rule.to}`;
    default:
      return rule satisfies never;
  }
}
