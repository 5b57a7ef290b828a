/**
 * Two controllers of bootstrap tokens: one signs `kube-public/cluster-info` with them, the other
 * deletes those that have run out. `plan.ts` says what a token and a signature are.
 */
import { objectKey } from '#api/object.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { configMaps as configMapKind, secrets as secretKind } from '#resources/kinds.ts';
import type { Secret } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { endOf, planSignatures, secretType, signingToken } from './plan.ts';

const infoKey = 'kube-public/cluster-info';

function tokensOf({ informers }: ControllerDeps) {
  const fieldSelector = `type=${secretType}`;
  return informers.of(secretKind, { namespace: 'kube-system', fieldSelector });
}

export function openBootstrapSigner(deps: ControllerDeps): Controller {
  const { client, clock, informers } = deps;
  const queue = new WorkQueue(deps);
  const secrets = tokensOf(deps);
  const infos = informers.of(configMapKind, {
    namespace: 'kube-public',
    fieldSelector: 'metadata.name=cluster-info',
  });
  const wake = (): void => queue.add(infoKey);
  secrets.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });
  infos.addHandler({ onAdd: wake, onUpdate: wake });
  return {
    name: 'bootstrap-signer-controller',
    queue,
    workers: 1,
    sources: [secrets, infos],
    reconcile: async (key, { signal }) => {
      const configMap = infos.get(key);
      if (configMap === undefined) return;
      const tokens = [...secrets.list()].flatMap(
        (secret) => signingToken(secret, clock.now()) ?? [],
      );
      const next = planSignatures(configMap, tokens);
      if (next !== undefined) {
        await client.update(configMapKind, next, { signal }).catch(ignoreNotFound);
      }
    },
  };
}

export function openTokenCleaner(deps: ControllerDeps): Controller {
  const { client, clock } = deps;
  const queue = new WorkQueue(deps);
  const secrets = tokensOf(deps);
  const wake = (secret: Secret): void => queue.add(objectKey(secret));
  secrets.addHandler({ onAdd: wake, onUpdate: wake });
  return {
    name: 'token-cleaner-controller',
    queue,
    workers: 1,
    sources: [secrets],
    reconcile: async (key, { signal }) => {
      const secret = secrets.get(key);
      const endsMs = secret === undefined ? undefined : endOf(secret);
      if (secret === undefined || endsMs === undefined) return;
      if (endsMs > clock.now()) {
        queue.addAfter(key, Math.min(endsMs - clock.now(), 2 ** 31 - 1));
        return;
      }
      const { namespace, name = '', uid = '' } = secret.metadata;
      const options = { preconditions: { uid }, signal };
      await client.delete(secretKind, { namespace, name }, options).catch(ignoreNotFound);
    },
  };
}
