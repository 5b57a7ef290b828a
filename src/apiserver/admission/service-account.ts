/**
 * Gives a pod its service account, and the files with which it talks to this server: a token that
 * the kubelet renews, the certificate authority, the namespace.
 *
 * The volume is `kube-api-access-xxxxx`, mounted into every container that mounts nothing of its
 * own there, unless the account or the pod says no. Mirror pods (of static pods) get nothing and
 * may name nothing. Where an account says so, its pods may only use the Secrets that it lists.
 */
import type { KubeObject } from '#api/object.ts';
import { nameSuffix, type Random } from '#kit/random.ts';
import { isMirror } from '#resources/core/pod/mirror.ts';
import { secretNames } from '#resources/core/pod/references.ts';
import type {
  Container,
  Pod,
  PodSpec,
  ProjectedVolumeSource,
  ServiceAccount,
  Volume,
} from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { registryRoot, storedObject } from '../registry.ts';
import { type Judged, refusal } from './refusal.ts';

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
const defaultName = 'default';
/** One hour and a little: the extra seconds mark a token that was added by the server. */
const tokenSeconds = 3607;

export interface PodAdmission extends Judged {
  readonly namespace: string;
}

type Deps = { readonly store: Store; readonly random: Random };

export function addServiceAccount({ store, random }: Deps, admission: PodAdmission): KubeObject {
  const { hub, namespace } = admission;
  // The caller has checked the kind.
  const { spec } = hub as Pod;
  if (spec === undefined) return hub;
  if (isMirror(hub)) {
    const why = mirrorProblem(spec);
    if (why !== undefined) throw refusal(admission, why);
    return hub;
  }
  const name = spec.serviceAccountName ?? spec.serviceAccount ?? '';
  const accountName = name === '' ? defaultName : name;
  const account = readAccount(store, namespace, accountName);
  if (account === undefined) throw refusal(admission, missing(namespace, accountName));
  const withAccount: PodSpec = {
    ...spec,
    serviceAccountName: accountName,
    serviceAccount: accountName,
    ...((spec.imagePullSecrets ?? []).length === 0 && (account.imagePullSecrets?.length ?? 0) > 0
      ? { imagePullSecrets: account.imagePullSecrets }
      : {}),
  };
  const mounts = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
  const full = mounts ? withToken(withAccount, random) : withAccount;
  const why = mountableProblem(account, full);
  if (why !== undefined) throw refusal(admission, why);
  return { ...hub, spec: full };
}

/** Whether a pod waits for the account of its namespace that a controller is about to make. */
export function lacksDefaultAccount(
  { store }: { readonly store: Store },
  hub: KubeObject,
  namespace: string,
): boolean {
  // The caller has checked the kind.
  const { spec } = hub as Pod;
  if (spec === undefined || isMirror(hub)) return false;
  const name = spec.serviceAccountName ?? spec.serviceAccount ?? '';
  if (name !== '' && name !== defaultName) return false;
  return store.get(`${registryRoot}serviceaccounts/${namespace}/${defaultName}`) === undefined;
}

/** Ephemeral containers are bound by the same rule as the others. */
export function ephemeralSecretProblem(
  { store }: { readonly store: Store },
  hub: KubeObject,
  namespace: string,
): string | undefined {
  // The caller has checked the kind.
  const { spec } = hub as Pod;
  const name = spec?.serviceAccountName ?? '';
  if (name === '') return `no service account specified for pod ${namespace}/${hub.metadata.name}`;
  const account = readAccount(store, namespace, name);
  if (account === undefined) return missing(namespace, name);
  if (!isStrict(account)) return undefined;
  return containerProblem(account, 'ephemeral container', spec?.ephemeralContainers ?? []);
}

function missing(namespace: string, name: string): string {
  return `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`;
}

function mirrorProblem(spec: PodSpec): string | undefined {
  if ((spec.serviceAccountName ?? '') !== '')
    return 'a mirror pod may not reference service accounts';
  if (secretNames(spec).length > 0) return 'a mirror pod may not reference secrets';
  const hasToken = (spec.volumes ?? []).some(({ projected }) =>
    (projected?.sources ?? []).some(({ serviceAccountToken }) => serviceAccountToken !== undefined),
  );
  return hasToken ? 'a mirror pod may not use ServiceAccountToken volume projections' : undefined;
}

/** Whether the account's pods may only use the Secrets that it lists. */
function isStrict({ metadata }: ServiceAccount): boolean {
  const value = metadata.annotations?.['kubernetes.io/enforce-mountable-secrets'] ?? '';
  return ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value);
}

function mountableProblem(account: ServiceAccount, spec: PodSpec): string | undefined {
  if (!isStrict(account)) return undefined;
  const secrets = new Set((account.secrets ?? []).map(({ name }) => name));
  const accountName = account.metadata.name ?? '';
  for (const { secret } of spec.volumes ?? []) {
    if (secret === undefined || secrets.has(secret.secretName)) continue;
    return `volume with secret.secretName="${secret.secretName ?? ''}" is not allowed because service account ${accountName} does not reference that secret`;
  }
  const inContainers =
    containerProblem(account, 'init container', spec.initContainers ?? []) ??
    containerProblem(account, 'container', spec.containers);
  if (inContainers !== undefined) return inContainers;
  const pullSecrets = new Set((account.imagePullSecrets ?? []).map(({ name }) => name));
  for (const [index, { name = '' }] of (spec.imagePullSecrets ?? []).entries()) {
    if (pullSecrets.has(name)) continue;
    return `imagePullSecrets[${index}].name="${name}" is not allowed because service account ${accountName} does not reference that imagePullSecret`;
  }
  return undefined;
}

function containerProblem(
  account: ServiceAccount,
  word: string,
  containers: readonly Pick<Container, 'name' | 'env' | 'envFrom'>[],
): string | undefined {
  const secrets = new Set((account.secrets ?? []).map(({ name }) => name));
  const because = `is not allowed because service account ${account.metadata.name} does not reference that secret`;
  for (const { name, env = [], envFrom = [] } of containers) {
    for (const one of env) {
      const reference = one.valueFrom?.secretKeyRef;
      if (reference === undefined || secrets.has(reference.name)) continue;
      return `${word} ${name} with envVar ${one.name} referencing secret.secretName="${reference.name ?? ''}" ${because}`;
    }
    for (const { secretRef } of envFrom) {
      if (secretRef === undefined || secrets.has(secretRef.name)) continue;
      return `${word} ${name} with envFrom referencing secret.secretName="${secretRef.name ?? ''}" ${because}`;
    }
  }
  return undefined;
}

function readAccount(store: Store, namespace: string, name: string): ServiceAccount | undefined {
  return storedObject<ServiceAccount>(store, `serviceaccounts/${namespace}/${name}`);
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
  return { name, projected: tokenFiles };
}

/** The same in every pod. */
const tokenFiles: ProjectedVolumeSource = {
  sources: [
    { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    {
      downwardAPI: {
        items: [
          { path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } },
        ],
      },
    },
  ],
  defaultMode: 0o644,
};
