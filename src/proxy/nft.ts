/**
 * The proxy's table in the kernel, as text for `nft -f`. Each file is one transaction: the kernel
 * takes all of it or nothing, and packets see the old rules or the new ones, never something
 * between.
 *
 * `formatLoad` replaces the table whatever was in it (start, or after a failed change);
 * `formatChanges` touches single elements and chains. `NftTable` writes the file and runs `nft`.
 * A file, because nft cannot read a pipe of ours: it opens /dev/stdin anew, and ours are sockets.
 *
 * Words to avoid here: nft 1.0.6 has no `destroy`, changes a map's value only as delete and add in
 * one transaction, and wants a line break before the brace that ends a chain.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type CommandResult, mustRun, runCommand } from '#kit/run-command.ts';
import {
  endpointMap,
  endpointPlaces,
  formatRule,
  type Item,
  masqueradeMark,
  protocols,
  type SetName,
  type Words,
} from './item.ts';
import type { Changes } from './ruleset.ts';

const timeoutMs = 60_000;

/** Elements per statement; longer ones gain nothing. */
const elementsPerStatementMax = 4096;

/** Root's own folder in memory; also where a cluster registers itself. */
const scratchFolder = '/run/coracle';

export function serviceTableName(clusterId: string): string {
  return `coracle-${clusterId}-services`;
}

const nodePlace = 'meta l4proto . th dport';

/** Declarations of all maps and sets, without the closing brace. */
function setStarts(ip: Words): readonly string[] {
  const place = `${ip} daddr . meta l4proto . th dport`;
  return [
    `map service-addresses { typeof ${place} : verdict`,
    `map node-ports { typeof ${nodePlace} : verdict`,
    `set hairpins { typeof ${ip} saddr . ${ip} daddr`,
    `set cluster-addresses { typeof ${ip} daddr`,
    `set empty-addresses { typeof ${place}`,
    `set empty-node-ports { typeof ${nodePlace}`,
    ...protocols.flatMap((protocol) =>
      endpointPlaces.map((at) => {
        // Not `th dport`: nft 1.0.6 cannot read such a map back from the kernel, and refuses every
        // rule that names it. So there is one map per protocol, and rules for it fit no other.
        const port = `${protocol} dport`;
        const key = at.startsWith('service') ? `${ip} daddr . ${port}` : port;
        const type = `${key} . numgen random mod 65536 : ${ip} daddr . ${port}`;
        return `map ${endpointMap({ place: at, protocol })} { typeof ${type}`;
      }),
    ),
  ];
}

/** The parts that never change: sets without elements, and where packets enter. */
function formatTable(name: string, ip: Words): string {
  const sets = setStarts(ip).map((start) => `  ${start}\n  }`);
  // No packet from ::1 may leave its link, so node ports have no place there.
  const own = ip === 'ip' ? 'fib daddr type local' : 'ip6 daddr != ::1 fib daddr type local';
  return `table ${ip} ${name}
delete table ${ip} ${name}
table ${ip} ${name} {
${sets.join('\n')}
  chain dispatch {
    ${ip} daddr . meta l4proto . th dport vmap @service-addresses
    ${own} meta l4proto . th dport vmap @node-ports
  }
  chain refuse {
    ${ip} daddr . meta l4proto . th dport @empty-addresses reject
    ${ip} daddr @cluster-addresses reject
  }
  chain nat-arriving {
    type nat hook prerouting priority dstnat; policy accept;
    jump dispatch
  }
  chain nat-own {
    type nat hook output priority -100; policy accept;
    jump dispatch
  }
  chain nat-leaving {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & ${masqueradeMark} != 0 masquerade fully-random
    ct status dnat ${ip} saddr . ${ip} daddr @hairpins masquerade fully-random
  }
  chain filter-passing {
    type filter hook forward priority filter - 1; policy accept;
    ct state new jump refuse
  }
  chain filter-own {
    type filter hook output priority filter - 1; policy accept;
    ct state new jump refuse
  }
  chain filter-arriving {
    type filter hook input priority filter - 1; policy accept;
    ct state new jump refuse
    ct state new ${own} meta l4proto . th dport @empty-node-ports reject
  }
}
`;
}

export function formatLoad(name: string, items: Iterable<Item>, ip: Words = 'ip'): string {
  const all = [...items];
  return `${formatTable(name, ip)}${formatPut({ name, ip }, all)}`;
}

export function formatChanges(name: string, changes: Changes, ip: Words = 'ip'): string {
  const table: Table = { name, ip };
  const replaced = changes.put.flatMap(({ old }) => old ?? []);
  const gone = changes.remove;
  const lines: string[] = [];
  // A chain with new content is emptied first; `formatPut` fills it again.
  for (const item of replaced) {
    if (item.kind === 'chain') lines.push(`flush chain ${ip} ${name} ${item.name}`);
  }
  const put = changes.put.map(({ item }) => item);
  lines.push(formatDelete(table, [...replaced, ...gone].filter(isElement)));
  // A new timeout means a new set: its chain has a new name too, so nothing refers to the old one.
  lines.push(formatPut(table, put));
  // Chains may refer to each other: empty them all before the first is deleted.
  for (const item of gone) {
    if (item.kind === 'chain') lines.push(`flush chain ${ip} ${name} ${item.name}`);
  }
  for (const item of gone) {
    if (item.kind === 'chain') lines.push(`delete chain ${ip} ${name} ${item.name}`);
  }
  for (const item of gone) {
    if (item.kind === 'memory') lines.push(`delete set ${ip} ${name} ${item.name}`);
  }
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}

/** Memories, then empty chains, then their rules, then what leads to them. */
function formatPut({ name, ip }: Table, items: readonly Item[]): string {
  const lines: string[] = [];
  for (const item of items) {
    if (item.kind !== 'memory') continue;
    const flags = `flags dynamic,timeout; timeout ${item.timeoutSeconds}s;`;
    lines.push(`add set ${ip} ${name} ${item.name} { type ${addressType[ip]}; ${flags} }`);
  }
  for (const item of items) {
    if (item.kind === 'chain') lines.push(`add chain ${ip} ${name} ${item.name}`);
  }
  for (const item of items) {
    if (item.kind !== 'chain') continue;
    for (const rule of item.rules)
      lines.push(`add rule ${ip} ${name} ${item.name} ${formatRule(rule, ip)}`);
  }
  lines.push(formatElements(`add element ${ip} ${name}`, items.filter(isElement), formatPair));
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}

/** A table of ours and its family. */
interface Table {
  readonly name: string;
  readonly ip: Words;
}

const addressType = { ip: 'ipv4_addr', ip6: 'ipv6_addr' } as const;

type Element = Extract<Item, { kind: 'element' }>;

function isElement(item: Item): item is Element {
  return item.kind === 'element';
}

function formatDelete({ name, ip }: Table, elements: readonly Element[]): string {
  return formatElements(`delete element ${ip} ${name}`, elements, ({ key }) => key);
}

function formatPair({ key, value }: Element): string {
  return value === undefined ? key : `${key} : ${value}`;
}

function formatElements(
  start: string,
  elements: readonly Element[],
  format: (element: Element) => string,
): string {
  const bySet = new Map<SetName, Element[]>();
  for (const element of elements) {
    const same = bySet.get(element.set);
    if (same === undefined) bySet.set(element.set, [element]);
    else same.push(element);
  }
  const lines: string[] = [];
  for (const [set, members] of bySet) {
    for (let at = 0; at < members.length; at += elementsPerStatementMax) {
      const some = members.slice(at, at + elementsPerStatementMax);
      lines.push(`${start} ${set} { ${some.map(format).join(', ')} }`);
    }
  }
  return lines.join('\n');
}

/** Applies one transaction; rejects when the kernel has refused it. */
export type ApplyNft = (
  transaction: string,
  options: { readonly signal: AbortSignal },
) => Promise<void>;

/** The real thing. Needs root. */
export function nftApplier({
  clusterId,
  ip,
}: {
  readonly clusterId: string;
  readonly ip: Words;
}): ApplyNft {
  return async (transaction, { signal }) => {
    mkdirSync(scratchFolder, { recursive: true, mode: 0o755 });
    const file = path.join(scratchFolder, `${clusterId}-services-${ip}.nft`);
    writeFileSync(file, transaction, { mode: 0o600 });
    try {
      await mustRun('nft', ['-f', file], { signal, timeoutMs });
    } finally {
      rmSync(file, { force: true });
    }
  };
}

/** For `down` and `reset`; succeeds when there is no table. */
export function deleteTable(
  name: string,
  options: { readonly ip: Words; readonly signal: AbortSignal },
): Promise<CommandResult> {
  const { ip, signal } = options;
  return runCommand('nft', ['delete', 'table', ip, name], { signal, timeoutMs });
}
