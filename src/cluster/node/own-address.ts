/**
 * The address of a node that nobody named, as upstream's kubelet finds it: what the node's name
 * stands for, if that is on an interface of this machine; else the address of the interface with
 * the default route. Called by `kubelet-command.ts`.
 *
 * On a machine with two networks this may be the one that others cannot reach: then the address
 * has to be named (`--node-ip`).
 */
import { lookup } from 'node:dns/promises';
import { existsSync, readFileSync } from 'node:fs';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import type { Clock } from '#kit/clock.ts';
import { parseAddress } from '#kit/ip-network.ts';
import { isLinkLocal } from './second-address.ts';

type Family = 'IPv4' | 'IPv6';

export interface AddressFacts {
  readonly interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;
  /** Text of `/proc/net/route`; of IPv6, `/proc/net/ipv6_route`. */
  readonly routes: Readonly<Record<Family, string>>;
  /** Addresses of a name; none when it has none. */
  readonly lookUp: (name: string) => Promise<readonly string[]>;
}

/** Undefined where neither the name nor a route says it. */
export async function findOwnAddress(
  nodeName: string,
  family: Family,
  facts: AddressFacts,
): Promise<string | undefined> {
  if (parseAddress(nodeName) !== undefined) return nodeName;
  const usable = usableAddresses(facts);
  const named = await facts.lookUp(nodeName);
  const found = usable.filter(({ address }) => named.includes(address));
  const byName = found.find((each) => each.family === family) ?? found[0];
  if (byName !== undefined) return byName.address;
  const way = defaultInterface(family, facts);
  return usable.find((each) => each.family === family && each.name === way)?.address;
}

/** Where others may reach this machine at all. */
function usableAddresses({ interfaces }: AddressFacts) {
  return Object.entries(interfaces).flatMap(([name, all = []]) =>
    all
      .filter(({ internal, address }) => !internal && !isLinkLocal(address))
      .map(({ address, family }) => ({ name, address, family })),
  );
}

function defaultInterface(family: Family, { routes }: AddressFacts): string | undefined {
  const rows = routes[family].split('\n').map((line) => line.trim().split(/\s+/));
  if (family === 'IPv4') {
    return rows.find(([, to, , flags = '']) => to === '00000000' && isUp(flags))?.[0];
  }
  const isDefault = (row: readonly string[]): boolean =>
    /^0{32}$/.test(row[0] ?? '') && row[1] === '00' && isUp(row[8] ?? '') && row[9] !== 'lo';
  return rows.find(isDefault)?.[9];
}

/** RTF_UP */
function isUp(flags: string): boolean {
  return (Number.parseInt(flags, 16) & 1) === 1;
}

/** A resolver that does not answer is not waited for longer. */
const lookUpMs = 5_000;

export function readAddressFacts({ clock }: { readonly clock: Clock }): AddressFacts {
  const read = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  return {
    interfaces: networkInterfaces(),
    routes: { IPv4: read('/proc/net/route'), IPv6: read('/proc/net/ipv6_route') },
    lookUp: async (name) => {
      const rest = new AbortController();
      const found = lookup(name, { all: true }).then((all) => all.map(({ address }) => address));
      const late = clock.sleep(lookUpMs, { signal: rest.signal }).then(() => []);
      try {
        return await Promise.race([found, late]);
      } catch {
        // Nobody knows the name.
        return [];
      } finally {
        rest.abort(new Error('it is known'));
        await late.catch(() => {});
      }
    },
  };
}
