/**
 * Gives a pod its service account, and the files with which it talks to this server: a token that
 * the kubelet renews, the certificate authority, the namespace.
 *
 * The volume is `kube-api-access-xxxxx`, mounted into every container that mounts nothing of its
 * own there, unless the account or the pod says no. Mirror pods (of static pods) get nothing.
 */
import { forbidden } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { nameSuffix, type Random } from '#kit/random.ts';
import type { Container, Pod, PodSpec, ServiceAccount, Volume } from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { decodeEntry, registryRoot } from '../registry.ts';

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
const mirrorAnnotation = 'kubernetes.io/config.mirror';
/** One hour and a little: the extra seconds mark a token that was added by the server. */
const tokenSeconds = 3607;

export interface PodAdmission {
  readonly hub: KubeObject;
  readonly namespace: string;
}

export function addServiceAccount(
  { store, random }: { readonly store: Store; readonly random: Random },
  { hub, namespace }: PodAdmission,
): KubeObject {
  // The caller has checked the kind.
  const pod = hub as unknown as Pod;
  const { spec } = pod;
  if (spec === undefined || hub.metadata.annotations?.[mirrorAnnotation] !== undefined) return hub;
  const name = spec.serviceAccountName ?? spec.serviceAccount ?? '';
  const accountName = name === '' ? 'default' : name;
  const account = readAccount(store, namespace, accountName);
  if (account === undefined) {
    const why = `error looking up service account ${namespace}/${accountName}: serviceaccount "${accountName}" not found`;
    throw forbidden({ group: '', resource: 'pods' }, hub.metadata.name ?? '', why);
  }
  const withAccount: PodSpec = {
    ...spec,
    serviceAccountName: accountName,
    serviceAccount: accountName,
    ...(spec.imagePullSecrets === undefined && (account.imagePullSecrets?.length ?? 0) > 0
      ? { imagePullSecrets: account.imagePullSecrets }
      : {}),
  };
  const mounts = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
  return { ...hub, spec: mounts ? withToken(withAccount, random) : withAccount } as KubeObject;
}

function readAccount(store: Store, namespace: string, name: string): ServiceAccount | undefined {
  const entry = store.get(`${registryRoot}serviceaccounts/${namespace}/${name}`);
  // Stored service accounts have this shape.
  return entry === undefined ? undefined : (decodeEntry(entry) as unknown as ServiceAccount);
}

function withToken(spec: PodSpec, random: Random): PodSpec {
  const existing = (spec.volumes ?? []).find(({ name }) => name.startsWith('kube-api-access-'));
  const name = existing?.name ?? `kube-api-access-${nameSuffix(random)}`;
  let used = false;
  const mount = (container: Container): Container => {
    const mounts = container.volumeMounts ?? [];
    if (mounts.some((given) => given.mountPath === mountPath)) return container;
    used = true;
    return { ...container, volumeMounts: [...mounts, { name, readOnly: true, mountPath }] };
  };
  const containers = (spec.containers ?? []).map(mount);
  const initContainers = spec.initContainers?.map(mount);
  if (!used) return spec;
  return {
    ...spec,
    volumes: existing === undefined ? [...(spec.volumes ?? []), tokenVolume(name)] : spec.volumes,
    containers,
    ...(initContainers === undefined ? {} : { initContainers }),
  };
}

function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [
              {
                path: 'namespace',
                fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' },
              },
            ],
          },
        },
      ],
      defaultMode: 0o644,
    },
  };
}
