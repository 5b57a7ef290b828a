/**
 * The admission plugins by upstream's names, in its order: which are on by themselves, which can be
 * switched on, and which are not here. `--enable-admission-plugins`, `--disable-admission-plugins`
 * and the older `--admission-control` (these and no others) are read once, with upstream's words of
 * refusal; the server's `admission.ts` asks the set that comes out.
 */

/** `awaited` are on upstream and not here yet: naming them changes nothing. */
type State = 'on' | 'off' | 'awaited' | 'missing';

const states: Readonly<Record<string, State>> = {
  AlwaysAdmit: 'off',
  NamespaceAutoProvision: 'missing',
  NamespaceLifecycle: 'on',
  NamespaceExists: 'off',
  LimitPodHardAntiAffinityTopology: 'off',
  LimitRanger: 'on',
  ServiceAccount: 'on',
  // Off upstream; every node of ours is held to its own objects.
  NodeRestriction: 'on',
  TaintNodesByCondition: 'on',
  AlwaysPullImages: 'off',
  ImagePolicyWebhook: 'missing',
  PodSecurity: 'awaited',
  PodNodeSelector: 'off',
  Priority: 'on',
  DefaultTolerationSeconds: 'on',
  PodTolerationRestriction: 'missing',
  EventRateLimit: 'missing',
  ExtendedResourceToleration: 'off',
  DefaultStorageClass: 'on',
  StorageObjectInUseProtection: 'on',
  PodGroupProtection: 'awaited',
  OwnerReferencesPermissionEnforcement: 'off',
  PersistentVolumeClaimResize: 'on',
  RuntimeClass: 'on',
  CertificateApproval: 'on',
  CertificateSigning: 'on',
  ClusterTrustBundleAttest: 'awaited',
  CertificateSubjectRestriction: 'on',
  DefaultIngressClass: 'on',
  DenyServiceExternalIPs: 'off',
  PodTopologyLabels: 'on',
  PodGroupWorkloadExists: 'awaited',
  NodeDeclaredFeatureValidator: 'on',
  JobValidation: 'awaited',
  PodResizeValidator: 'on',
  MutatingAdmissionPolicy: 'awaited',
  MutatingAdmissionWebhook: 'awaited',
  ValidatingAdmissionPolicy: 'awaited',
  ValidatingAdmissionWebhook: 'awaited',
  ResourceQuota: 'on',
  AlwaysDeny: 'missing',
};

export const defaultPlugins: ReadonlySet<string> = new Set(
  Object.keys(states).filter((name) => states[name] === 'on'),
);

/** Lists of names; absent where the flag was not given. */
export interface PluginFlags {
  readonly enable?: readonly string[] | undefined;
  readonly disable?: readonly string[] | undefined;
  /** `--admission-control`. */
  readonly only?: readonly string[] | undefined;
}

export type ReadPlugins =
  | { readonly ok: true; readonly plugins: ReadonlySet<string> }
  | { readonly ok: false; readonly problem: string };

export function readPlugins({ enable, disable, only }: PluginFlags): ReadPlugins {
  const problems: string[] = [];
  if (only !== undefined && (enable ?? disable) !== undefined) {
    problems.push(
      'admission-control and enable-admission-plugins/disable-admission-plugins flags are ' +
        'mutually exclusive',
    );
  }
  const given = { 'admission-control': only, 'enable-admission-plugins': enable };
  const all = { ...given, 'disable-admission-plugins': disable };
  for (const [flag, names = []] of Object.entries(all)) {
    for (const name of names.filter((each) => states[each] === undefined)) {
      problems.push(`${flag} plugin ${JSON.stringify(name)} is unknown`);
    }
  }
  const both = (enable ?? []).filter((name) => disable?.includes(name) === true).sort();
  if (both.length > 0) {
    const flags = 'enable-admission-plugins and disable-admission-plugins';
    problems.push(`[${both.join(' ')}] in ${flags} overlapped`);
  }
  for (const name of [...(enable ?? []), ...(only ?? [])]) {
    if (states[name] === 'missing') problems.push(`admission plugin ${name} is not there yet`);
  }
  const [first, ...more] = problems;
  if (first !== undefined) {
    return { ok: false, problem: more.length === 0 ? first : `[${problems.join(', ')}]` };
  }
  const on = new Set(only ?? [...defaultPlugins, ...(enable ?? [])]);
  for (const name of disable ?? []) on.delete(name);
  return { ok: true, plugins: on };
}
