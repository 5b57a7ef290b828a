/**
 * Every namespace has a ServiceAccount called `default`, which pods use that name no other. Made
 * when the namespace is, and again when somebody deletes it.
 */
import { isReason } from '#api/errors.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { serviceAccounts as accountKind, namespaces as namespaceKind } from '#resources/kinds.ts';
import { isNamespaceEnding } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';

const accountName = 'default';

export function openServiceAccountController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const queue = new WorkQueue(deps);
  const namespaces = informers.of(namespaceKind);
  const options = { fieldSelector: `metadata.name=${accountName}`, metadataOnly: true };
  const accounts = informers.of(accountKind, options);
  namespaces.addHandler({
    onAdd: (namespace) => queue.add(namespace.metadata.name ?? ''),
    onUpdate: (namespace) => queue.add(namespace.metadata.name ?? ''),
  });
  accounts.addHandler({ onDelete: (account) => queue.add(account.metadata.namespace ?? '') });
  return {
    name: 'serviceaccount-controller',
    queue,
    workers: 1,
    sources: [namespaces, accounts],
    reconcile: async (namespace, { signal }) => {
      const found = namespaces.get(namespace);
      if (found === undefined || found.metadata.deletionTimestamp !== undefined) return;
      if (accounts.get(`${namespace}/${accountName}`) !== undefined) return;
      const metadata = { namespace, name: accountName };
      const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata };
      try {
        await client.create(accountKind, account, { signal });
      } catch (error) {
        if (!isReason(error, 'AlreadyExists') && !isNamespaceEnding(error)) throw error;
      }
    },
  };
}
