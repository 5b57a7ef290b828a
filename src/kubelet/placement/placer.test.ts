/** Several givers, one pod: all from the same nodes, or a refusal. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slots } from '#kit/slots.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { type Hint, mergeHints, type TopologyPolicy } from './hints.ts';
import { madeUpTopology } from './machines.contract.ts';
import { maskOf, nodesOf } from './masks.ts';
import { Placer, type TopologyScope } from './placer.ts';
import type { Provider } from './provider.ts';

const { nodes } = madeUpTopology({ sockets: 2, coresPerNode: 1 });
const { signal } = new AbortController();
const pod: Pod = {
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', uid: 'p' } },
  spec: { containers: ['a', 'b'].map((name) => ({ name, image: 'i' })) },
};

class Giver implements Provider {
  readonly calls: string[] = [];
  refuses = '';
  readonly #name: string;
  readonly #nodes: readonly number[];

  constructor(name: string, on: readonly number[]) {
    this.#name = name;
    this.#nodes = on;
  }

  hints(_pod: Pod, container: { readonly name: string } | undefined) {
    this.calls.push(`hints ${container?.name ?? 'pod'}`);
    const hints = this.#nodes.map((node): Hint => ({ mask: maskOf([node]), preferred: true }));
    return new Map([[this.#name, hints]]);
  }

  async allocate(
    _pod: Pod,
    { name }: { readonly name: string },
    { hint }: { readonly hint: Hint },
  ) {
    this.calls.push(`${name} on ${hint.mask === undefined ? 'any' : nodesOf(hint.mask).join()}`);
    return this.refuses === name ? { reason: 'Full', message: 'is full' } : undefined;
  }
}

function placerOf(
  providers: readonly Provider[],
  policy: TopologyPolicy,
  scope: TopologyScope = 'container',
): Placer {
  const deps = { clock: new VirtualClock(), providers, turn: new Slots(1) };
  if (policy === 'none') return new Placer(deps, undefined);
  return new Placer(deps, { policy, scope, nodes, preferClosest: false, merge: mergeHints });
}

test('who cannot give, for whatever reason, fails the pod and nothing else', async () => {
  const full = new Giver('cpu', [1]);
  full.allocate = async () => {
    throw new Error('ENOSPC: no space left on device');
  };
  const placer = placerOf([full], 'none');
  assert.deepEqual(await placer.admit(pod, { signal }), {
    reason: 'UnexpectedAdmissionError',
    message: 'Allocate failed due to ENOSPC: no space left on device, which is unexpected',
  });
  assert.equal(placer.counts.errors, 1);
  const stop = AbortSignal.abort(new Error('the kubelet ends'));
  await assert.rejects(placer.admit(pod, { signal: stop }), /the kubelet ends/);
});

test('without a policy nobody is asked for wishes', async () => {
  const giver = new Giver('cpu', [1]);
  assert.equal(await placerOf([giver], 'none').admit(pod, { signal }), undefined);
  assert.deepEqual(giver.calls, ['a on any', 'b on any']);
});

test('each container has its nodes, or the pod has one set of them', async () => {
  const each = new Giver('cpu', [1]);
  await placerOf([each], 'restricted').admit(pod, { signal });
  assert.deepEqual(each.calls, ['hints a', 'a on 1', 'hints b', 'b on 1']);
  const whole = new Giver('cpu', [1]);
  await placerOf([whole], 'restricted', 'pod').admit(pod, { signal });
  assert.deepEqual(whole.calls, ['hints pod', 'a on 1', 'b on 1']);
});

test('what cannot be aligned is refused, and counted', async () => {
  for (const scope of ['container', 'pod'] as const) {
    const placer = placerOf([new Giver('cpu', [0]), new Giver('gpu', [1])], 'restricted', scope);
    assert.deepEqual(await placer.admit(pod, { signal }), {
      reason: 'TopologyAffinityError',
      message: 'Resources cannot be allocated with Topology locality',
    });
    assert.equal(placer.counts.errors, 1);
  }
  const lax = placerOf([new Giver('cpu', [0]), new Giver('gpu', [1])], 'best-effort');
  assert.equal(await lax.admit(pod, { signal }), undefined);
});

test('the first refusal ends it', async () => {
  const [one, other] = [new Giver('cpu', [0]), new Giver('memory', [0])];
  one.refuses = 'b';
  const refusal = await placerOf([one, other], 'none').admit(pod, { signal });
  assert.deepEqual(refusal, { reason: 'Full', message: 'is full' });
  assert.deepEqual(other.calls, ['a on any']);
});
