/**
 * The `KubeletConfiguration` of `up` and `agent` (`--kubelet-config`): the part of it that is about
 * the node and its pods, over what nodes of ours are set to. Addresses, certificates, folders and
 * the cluster's DNS are the cluster's business: fields about them are told of and passed over.
 *
 * Read twice: by the command, so that a fault is said before anything starts, and by the node's
 * process (`node-agent.ts`), which uses it; a node that starts anew reads what the file says then.
 */
import { defaultSettings, type KubeletOptions, type KubeletSettings, type Serving } from '#kubelet';

type NodeOption = 'maxPods' | 'podLogsDir' | 'podPidsMax' | 'taints' | 'providerID';

export interface NodeKubelet {
  readonly settings: KubeletSettings;
  readonly serves: Serving;
  readonly options: Pick<KubeletOptions, NodeOption>;
  /** Fields that are given and do not count here. */
  readonly unused: readonly string[];
}

/** As with upstream, unused images go before the disk is so short that pods do. */
const imageThresholds = { imageGCHighThresholdPercent: 95, imageGCLowThresholdPercent: 90 };

/** Machines that do other things too have fuller disks than those that upstream thinks of. */
const nodeSettings: KubeletSettings = {
  ...defaultSettings,
  evictionHard: {
    ...defaultSettings.evictionHard,
    'nodefs.available': '5%',
    'imagefs.available': '5%',
  },
  ...imageThresholds,
  serializeImagePulls: false,
};

/** Of the cluster, or of a kubelet that runs alone. */
const foreign = new Set(
  (
    'staticPodPath staticPodURL staticPodURLHeader address port enableServer ' +
    'tlsCertFile tlsPrivateKeyFile authentication healthzPort healthzBindAddress clusterDomain ' +
    'clusterDNS cgroupRoot podCIDR registerNode containerRuntimeEndpoint rotateCertificates ' +
    'serverTLSBootstrap failSwapOn oomScoreAdj authorization readOnlyPort kubeAPIQPS ' +
    'kubeAPIBurst eventRecordQPS eventBurst runtimeRequestTimeout protectKernelDefaults ' +
    'imageServiceEndpoint failCgroupV1'
  ).split(' '),
);

export async function readNodeKubelet(path: string | undefined): Promise<NodeKubelet> {
  if (path === undefined) {
    return { settings: nodeSettings, serves: {}, options: {}, unused: [] };
  }
  const { readKubeletConfig } = await import('./kubelet-settings.ts');
  const { settings, server, fields, unused } = readKubeletConfig({ config: path, fields: {} });
  const { maxPods, podPidsLimit = -1, registerWithTaints: taints, providerID } = fields;
  const { imageGCHighThresholdPercent: high, imageGCLowThresholdPercent: low } = fields;
  const saysThresholds = high !== undefined || low !== undefined;
  const own = {
    ...(fields.evictionHard === undefined ? { evictionHard: nodeSettings.evictionHard } : {}),
    ...(fields.serializeImagePulls === undefined ? { serializeImagePulls: false } : {}),
    ...(saysThresholds ? {} : imageThresholds),
  };
  return {
    settings: { ...settings, ...own },
    // Who is let in is the cluster's business.
    serves: { ...server.serves, access: undefined, readOnlyPort: 0 },
    options: {
      maxPods,
      podPidsMax: podPidsLimit > 0 ? podPidsLimit : undefined,
      taints,
      providerID,
      podLogsDir: fields.podLogsDir || undefined,
    },
    unused: [...unused, ...Object.keys(fields).filter((name) => foreign.has(name))],
  };
}
