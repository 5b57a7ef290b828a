/**
 * Secrets of type `kubernetes.io/service-account-token`: tokens for those who keep one by hand.
 *
 * Who makes such a Secret for a ServiceAccount gets `token`, `ca.crt` and `namespace` put in; it
 * goes with its ServiceAccount. The token is asked for from the API server, bound to the Secret, so
 * that it holds as long as that is there. Behaviour: kubernetes.io, "Managing Service Accounts".
 */
import { objectKey } from '#api/object.ts';
import type { Informer } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import { serviceAccounts as accountKind, secrets as secretKind } from '#resources/kinds.ts';
import type { TokenRequest } from '#resources/types/authentication-v1.ts';
import type { Secret, ServiceAccount } from '#resources/types/core-v1.ts';
import { accountNameOf, accountUidOf, secretType } from '../account-token-cleaner/plan.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { isSameValue } from '../same-value.ts';

/** Such tokens hold as long as their Secrets; this is the most that can be asked for. */
const tokenSeconds = 2 ** 32;
const byAccount = 'service account';
const uidAnnotation = 'kubernetes.io/service-account.uid';

type Deps = Pick<ControllerDeps, 'client'> & { readonly accounts: Informer<ServiceAccount> };

export function openAccountTokenController(
  deps: ControllerDeps,
  options: { readonly rootCA: string },
): Controller {
  const { client, informers } = deps;
  const queue = new WorkQueue(deps);
  const secrets = informers.of(secretKind, { fieldSelector: `type=${secretType}` });
  const accounts = informers.of(accountKind, { metadataOnly: true });
  secrets.addIndex(byAccount, (secret) => [
    `${secret.metadata.namespace}/${accountNameOf(secret)}`,
  ]);
  const wake = (secret: Secret): void => queue.add(objectKey(secret));
  secrets.addHandler({ onAdd: wake, onUpdate: wake });
  const wakeSecrets = (account: ServiceAccount): void => {
    for (const secret of secrets.byIndex(byAccount, objectKey(account))) wake(secret);
  };
  accounts.addHandler({ onAdd: wakeSecrets, onDelete: wakeSecrets });
  return {
    name: 'serviceaccount-token-controller',
    queue,
    workers: 5,
    sources: [secrets, accounts],
    reconcile: async (key, { signal }) => {
      const secret = secrets.get(key);
      if (secret === undefined || secret.metadata.deletionTimestamp !== undefined) return;
      if (accountNameOf(secret) === '') return;
      const { namespace = '', name = '', uid = '' } = secret.metadata;
      const account = await accountOf({ client, accounts }, secret, signal);
      if (account === undefined) {
        const precondition = { preconditions: { uid }, signal };
        await client.delete(secretKind, { namespace, name }, precondition).catch(ignoreNotFound);
        return;
      }
      const before = secret.data ?? {};
      const token = before['token'] ?? encode(await requestToken(client, secret, account, signal));
      const accountUid = account.metadata.uid ?? '';
      const annotations = { ...secret.metadata.annotations, [uidAnnotation]: accountUid };
      const next = {
        ...secret,
        metadata: { ...secret.metadata, annotations },
        data: {
          ...before,
          'ca.crt': encode(options.rootCA),
          namespace: before['namespace'] ?? encode(namespace),
          token,
        },
      };
      if (isSameValue(next, secret)) return;
      await client.update(secretKind, next, { signal }).catch(ignoreNotFound);
    },
  };
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** The account that the Secret names, if it is that very one; the server is asked in the end. */
async function accountOf(
  { client, accounts }: Deps,
  secret: Secret,
  signal: AbortSignal,
): Promise<ServiceAccount | undefined> {
  const at = { namespace: secret.metadata.namespace, name: accountNameOf(secret) };
  const uid = accountUidOf(secret);
  const fits = (account: ServiceAccount): boolean => uid === '' || account.metadata.uid === uid;
  const cached = accounts.get(`${at.namespace}/${at.name}`);
  if (cached !== undefined && fits(cached)) return cached;
  const live = await client.get(accountKind, at, { signal }).catch(ignoreNotFound);
  return live !== undefined && fits(live) ? live : undefined;
}

async function requestToken(
  client: ControllerDeps['client'],
  { metadata }: Secret,
  account: ServiceAccount,
  signal: AbortSignal,
): Promise<string> {
  const { name = '', uid = '' } = metadata;
  const request = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: {},
    spec: {
      audiences: [],
      expirationSeconds: tokenSeconds,
      boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name, uid },
    },
  };
  const { namespace, name: accountName = '' } = account.metadata;
  const at = { namespace, name: accountName };
  const answer = await client.createSubresource<ServiceAccount, typeof request, TokenRequest>(
    accountKind,
    at,
    'token',
    request,
    { signal },
  );
  return answer.status?.token ?? '';
}
