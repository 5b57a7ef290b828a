/**
 * Whether the devices of a claim are ready for its pod to be bound: drivers name conditions that
 * have to be true first, and such that mean that it will never be, and tell both in the claim's
 * status. The other side is `bind-steps.ts`, which waits.
 *
 * Behaviour: kubernetes.io, "Device binding conditions"; KEP-5007.
 */
import type { ResourceClaim } from '#resources/types/resource-v1.ts';

export type Readiness =
  | { readonly do: 'go on' | 'wait' }
  | { readonly do: 'give up'; readonly why: string };

/** What the drivers say of the devices that a claim has. */
export function deviceReadiness(claim: ResourceClaim | undefined): Readiness {
  const { allocation, devices = [] } = claim?.status ?? {};
  if (claim === undefined || allocation === undefined) return { do: 'wait' };
  let ready = true;
  for (const one of allocation.devices?.results ?? []) {
    const { bindingConditions = [], bindingFailureConditions = [] } = one;
    if (bindingConditions.length === 0) continue;
    const told = devices.find(
      ({ driver, pool, device, shareID }) =>
        driver === one.driver &&
        pool === one.pool &&
        device === one.device &&
        (shareID ?? '') === (one.shareID ?? ''),
    );
    const held = (type: string) =>
      told?.conditions?.find((each) => each.type === type && each.status === 'True');
    const [failure] = bindingFailureConditions.flatMap((type) => held(type) ?? []);
    if (failure !== undefined) {
      const { reason, message } = failure;
      const which = `claim=${claim.metadata.name}, reason=${reason}`;
      const why = `device binding failed: ${which}, message=${JSON.stringify(message)}`;
      return { do: 'give up', why };
    }
    if (!bindingConditions.every((type) => held(type) !== undefined)) ready = false;
  }
  return { do: ready ? 'go on' : 'wait' };
}
