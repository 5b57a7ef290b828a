/**
 * Amounts of resources as they are kept: nothing finer than a thousandth, which is what upstream's
 * clients can count in. What is finer is rounded up when it comes, before it is judged.
 */
import { roundToThousandths } from '#api/quantity.ts';
import { changeMember } from './fill-in.ts';

type Amounts = Readonly<Record<string, string>>;

export function inThousandths(amounts: Amounts): Amounts {
  let rounded: Record<string, string> | undefined;
  for (const [name, amount] of Object.entries(amounts)) {
    const next = roundToThousandths(amount);
    if (next === amount) continue;
    rounded ??= { ...amounts };
    rounded[name] = next;
  }
  return rounded ?? amounts;
}

/** Those that are asked for and those that are allowed. */
export function withRoundAmounts<
  T extends { readonly limits?: Amounts | undefined; readonly requests?: Amounts | undefined },
>(resources: T): T {
  const next = changeMember(resources, 'limits', inThousandths);
  return changeMember(next, 'requests', inThousandths);
}
