/**
 * Values that the flags of `coracle kubelet` write in a form of their own, read to what the file
 * would hold, with upstream's words where that cannot be done. Pure, and apart from the settings:
 * every command knows these flags, and only the kubelet loads the kubelet.
 */
import { parseQuantity } from '#api/quantity.ts';
import type { Taint } from '#resources/types/core-v1.ts';
import { ConfigError } from '../settings/config.ts';

type Texts = Readonly<Record<string, string>>;

/** `memory.available<100Mi,nodefs.available<10%`, `cpu=100m,memory=1Gi`, `a:b`. */
export function parsePairs(flag: string, text: string, between: '<' | '=' | ':'): Texts {
  const parts = text.split(',').filter((part) => part.trim() !== '');
  return Object.fromEntries(
    parts.map((part) => {
      const at = part.indexOf(between);
      if (at > 0) return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
      throw new ConfigError(`${flag}: malformed pair, expect string${between}string: ${part}`);
    }),
  );
}

/** `key=value:NoSchedule,other:NoExecute`. */
export function parseTaints(flag: string, text: string): readonly Taint[] {
  return text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [, key = '', value = '', effect = ''] =
        /^([^=:]+)(?:=([^:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)$/.exec(part) ?? [];
      if (key === '') throw new ConfigError(`${flag}: invalid taint spec: ${part}`);
      return { key, ...(value === '' ? {} : { value }), effect };
    });
}

/** `0:memory=1Gi,hugepages-1Gi=2Gi;1:memory=2Gi`. */
export function parseReservedMemory(
  text: string,
): readonly { readonly numaNode: number; readonly limits: Texts }[] {
  return (text === '' ? [] : text.split(';')).map((part) => {
    const [node = '', list, ...more] = part.split(':');
    if (list === undefined || more.length > 0) {
      throw new ConfigError(
        'the reserved memory has incorrect format, ' +
          `expected numaNodeID:type=quantity[,type=quantity...], got ${part}`,
      );
    }
    if (!/^\d+$/.test(node)) {
      throw new ConfigError(`failed to convert the NUMA node ID, expected integer, got ${node}`);
    }
    const limits = list.split(',').map((limit) => {
      const [name = '', amount, ...rest] = limit.split('=');
      if (amount === undefined || rest.length > 0) {
        const wanted = 'the reserved limit has incorrect value, expected type=quantity';
        throw new ConfigError(`${wanted}, got ${limit}`);
      }
      if (name !== 'memory' && !name.startsWith('hugepages-')) {
        throw new ConfigError(`memory type conversion error, unknown type: "${name}"`);
      }
      if (parseQuantity(amount) === undefined) {
        throw new ConfigError(`failed to parse the quantity: ${amount}`);
      }
      return [name, amount] as const;
    });
    return { numaNode: Number(node), limits: Object.fromEntries(limits) };
  });
}
