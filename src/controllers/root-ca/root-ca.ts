/**
 * Every namespace has a ConfigMap `kube-root-ca.crt` with the certificate authority that pods
 * verify the API server with. It is mounted next to each service-account token. Changes are put
 * right.
 */
import { ApiError, isReason } from '#api/errors.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { configMaps as configMapKind, namespaces as namespaceKind } from '#resources/kinds.ts';
import type { ConfigMap } from '#resources/types/core-v1.ts';
import { isNamespaceEnding } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';

const name = 'kube-root-ca.crt';
const fileName = 'ca.crt';
const description =
  'Holds the CA bundle with which clients inside the cluster verify the kube-apiserver; ' +
  'kept up to date by the control plane.';

export function openRootCAController(
  deps: ControllerDeps,
  options: { readonly rootCA: string },
): Controller {
  const { client, informers } = deps;
  const queue = new WorkQueue(deps);
  const namespaces = informers.of(namespaceKind);
  const configMaps = informers.of(configMapKind, { fieldSelector: `metadata.name=${name}` });
  const wake = (configMap: ConfigMap): void => queue.add(configMap.metadata.namespace ?? '');
  namespaces.addHandler({
    onAdd: (namespace) => queue.add(namespace.metadata.name ?? ''),
    onUpdate: (namespace) => queue.add(namespace.metadata.name ?? ''),
  });
  configMaps.addHandler({ onUpdate: wake, onDelete: wake });
  const publish = async (namespace: string, signal: AbortSignal): Promise<void> => {
    const found = namespaces.get(namespace);
    if (found === undefined || found.metadata.deletionTimestamp !== undefined) return;
    const data = { [fileName]: options.rootCA };
    const before = configMaps.get(`${namespace}/${name}`);
    if (before?.data?.[fileName] === options.rootCA) return;
    if (before !== undefined) {
      await client.update(configMapKind, { ...before, data }, { signal });
      return;
    }
    const annotations = { 'kubernetes.io/description': description };
    const metadata = { namespace, name, annotations };
    const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
    try {
      await client.create(configMapKind, configMap, { signal });
    } catch (error) {
      if (!isReason(error, 'AlreadyExists') && !isNamespaceEnding(error)) throw error;
    }
  };
  return {
    name: 'root-ca-certificate-publisher-controller',
    queue,
    workers: 1,
    sources: [namespaces, configMaps],
    reconcile: async (namespace, { signal }) => {
      const fromMs = deps.clock.monotonic();
      let code = '200';
      try {
        await publish(namespace, signal);
      } catch (error) {
        code = error instanceof ApiError ? `${error.status.code}` : '500';
        throw error;
      } finally {
        const seconds = (deps.clock.monotonic() - fromMs) / 1000;
        deps.figures.count('root_ca_cert_publisher_sync_total', [code]);
        deps.figures.observe('root_ca_cert_publisher_sync_duration_seconds', [code], seconds);
      }
    },
  };
}
