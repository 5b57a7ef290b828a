/**
 * Deletes Secrets with tokens that old clusters made by themselves for each ServiceAccount, when
 * nobody has used them for a year. Looks once a day; `plan.ts` decides.
 *
 * `account-tokens/` fills in those that people make; the API server notes when a token is used.
 */
import { ApiError } from '#api/errors.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  serviceAccounts as accountKind,
  configMaps as configMapKind,
  pods as podKind,
  secrets as secretKind,
} from '#resources/kinds.ts';
import type { Secret } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { accountNameOf, day, limits, planCleaning, secretNamesOf, secretType } from './plan.ts';

const trackingAt = {
  namespace: 'kube-system',
  name: 'kube-apiserver-legacy-service-account-token-tracking',
} as const;
const sweepKey = 'all tokens';

export function openAccountTokenCleaner(deps: ControllerDeps, unusedMs?: number): Controller {
  const { client, clock } = deps;
  const queue = new WorkQueue(deps);
  const pods = deps.informers.of(podKind);
  queue.add(sweepKey);
  /** Since which day the use of tokens is noted; undefined where nobody notes it. */
  const trackedSince = async (signal: AbortSignal): Promise<string | undefined> => {
    const found = await client.get(configMapKind, trackingAt, { signal }).catch(ignoreNotFound);
    return found?.data?.['since'];
  };
  const isMounted = ({ metadata }: Secret): boolean => {
    for (const pod of pods.listNamespace(metadata.namespace ?? '')) {
      for (const name of secretNamesOf(pod)) if (name === metadata.name) return true;
    }
    return false;
  };
  const clean = async (secret: Secret, since: string, signal: AbortSignal): Promise<void> => {
    const { namespace, name = '', uid, resourceVersion = '' } = secret.metadata;
    const accountAt = { namespace, name: accountNameOf(secret) };
    if (accountAt.name === '') return;
    const account = await client.get(accountKind, accountAt, { signal }).catch(ignoreNotFound);
    const facts = { secret, account, isMounted: isMounted(secret), since };
    const plan = planCleaning(facts, clock.now(), unusedMs);
    if (plan === 'invalidate') {
      const labels = { 'kubernetes.io/legacy-token-invalid-since': day(clock.now()) };
      const patch = { metadata: { uid, labels } };
      const merge = { type: 'merge', signal } as const;
      await client.patch(secretKind, { namespace, name }, patch, merge).catch(ignoreNotFound);
    } else if (plan === 'delete') {
      const options = { preconditions: { resourceVersion }, signal };
      await client.delete(secretKind, { namespace, name }, options).catch(ignoreNotFound);
    }
  };
  return {
    name: 'legacy-serviceaccount-token-cleaner-controller',
    queue,
    workers: 1,
    sources: [pods],
    reconcile: async (key, { signal }) => {
      queue.addAfter(key, limits.sweepMs);
      const since = await trackedSince(signal);
      if (since === undefined) return;
      // Once a day: no copy of all Secrets is kept for that.
      const fieldSelector = `type=${secretType}`;
      const { items } = await client.list(secretKind, { fieldSelector, signal });
      // One that the server will not let go must not keep the others.
      let refusal: ApiError | undefined;
      for (const secret of items) {
        try {
          await clean(secret, since, signal);
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          refusal ??= error;
        }
      }
      if (refusal !== undefined) throw refusal;
    },
  };
}
