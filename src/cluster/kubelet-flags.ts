/**
 * The flags of `coracle kubelet`, by upstream's names, and how their texts become fields of a
 * `KubeletConfiguration`. `command-line.ts` adds them; `kubelet-settings.ts` lays them over the
 * file.
 */
import type { Command } from '#kit/command-line.ts';
import { ConfigError } from './config.ts';
import { parsePairs, parseReservedMemory, parseTaints } from './kubelet-flag-values.ts';
import type { KubeletFlags } from './kubelet-settings.ts';

type Reader = (flag: string, text: string) => unknown;

const text: Reader = (_flag, value) => value;
const list: Reader = (_flag, value) => value.split(',').filter((part) => part !== '');
const number: Reader = (flag, value) => {
  const read = Number(value);
  if (Number.isInteger(read) && value.trim() !== '') return read;
  throw new ConfigError(
    `invalid argument "${value}" for "${flag}" flag: ` +
      `strconv.ParseInt: parsing "${value}": invalid syntax`,
  );
};
const boolean: Reader = (flag, value) => {
  if (value === 'true' || value === 'false') return value === 'true';
  throw new ConfigError(
    `invalid argument "${value}" for "${flag}" flag: ` +
      `strconv.ParseBool: parsing "${value}": invalid syntax`,
  );
};
const pairs: Reader = (flag, value) => parsePairs(flag, value, '=');
const thresholds: Reader = (flag, value) => parsePairs(flag, value, '<');

/** `name:value,name:other`: several values of one name are kept. */
const headers: Reader = (flag, value) =>
  Object.entries(parsePairs(flag, value, ':')).reduce<Record<string, readonly string[]>>(
    (all, [name, one]) => Object.assign(all, { [name]: [...(all[name] ?? []), one] }),
    {},
  );

/** Flag → field of the file, and how its text is read. */
const fieldFlags: Readonly<Record<string, readonly [string, Reader]>> = {
  'pod-manifest-path': ['staticPodPath', text],
  'manifest-url': ['staticPodURL', text],
  'manifest-url-header': ['staticPodURLHeader', headers],
  'pod-log-dir': ['podLogsDir', text],
  address: ['address', text],
  port: ['port', number],
  'tls-cert-file': ['tlsCertFile', text],
  'tls-private-key-file': ['tlsPrivateKeyFile', text],
  'client-ca-file': ['clientCAFile', text],
  'rotate-certificates': ['rotateCertificates', boolean],
  'rotate-server-certificates': ['serverTLSBootstrap', boolean],
  'serialize-image-pulls': ['serializeImagePulls', boolean],
  'registry-qps': ['registryPullQPS', number],
  'registry-burst': ['registryBurst', number],
  'healthz-port': ['healthzPort', number],
  'healthz-bind-address': ['healthzBindAddress', text],
  'cluster-dns': ['clusterDNS', list],
  'cluster-domain': ['clusterDomain', text],
  'cgroup-root': ['cgroupRoot', text],
  'max-pods': ['maxPods', number],
  'pod-cidr': ['podCIDR', text],
  'pod-max-pids': ['podPidsLimit', number],
  'register-node': ['registerNode', boolean],
  'register-with-taints': ['registerWithTaints', parseTaints],
  'eviction-hard': ['evictionHard', thresholds],
  'eviction-soft': ['evictionSoft', thresholds],
  'eviction-soft-grace-period': ['evictionSoftGracePeriod', pairs],
  'eviction-minimum-reclaim': ['evictionMinimumReclaim', pairs],
  'eviction-pressure-transition-period': ['evictionPressureTransitionPeriod', text],
  'eviction-max-pod-grace-period': ['evictionMaxPodGracePeriod', number],
  'system-reserved': ['systemReserved', pairs],
  'kube-reserved': ['kubeReserved', pairs],
  'reserved-cpus': ['reservedSystemCPUs', text],
  'cpu-manager-policy': ['cpuManagerPolicy', text],
  'cpu-manager-policy-options': ['cpuManagerPolicyOptions', pairs],
  'cpu-manager-reconcile-period': ['cpuManagerReconcilePeriod', text],
  'memory-manager-policy': ['memoryManagerPolicy', text],
  'reserved-memory': ['reservedMemory', (_flag, value) => parseReservedMemory(value)],
  'topology-manager-policy': ['topologyManagerPolicy', text],
  'topology-manager-policy-options': ['topologyManagerPolicyOptions', pairs],
  'topology-manager-scope': ['topologyManagerScope', text],
  'image-gc-high-threshold': ['imageGCHighThresholdPercent', number],
  'image-gc-low-threshold': ['imageGCLowThresholdPercent', number],
  'minimum-image-ttl-duration': ['imageMinimumGCAge', text],
  'allowed-unsafe-sysctls': ['allowedUnsafeSysctls', list],
};

const ownFlags: Readonly<Record<string, string>> = {
  config: 'file with a KubeletConfiguration; flags win over it',
  kubeconfig: 'the API server and how to log in',
  'bootstrap-kubeconfig':
    'with which a certificate is asked for, where --kubeconfig is no file yet',
  'hostname-override': 'name of the node (default: host name)',
  'node-ip': 'address of the node (default: the one towards the API server)',
  'node-labels': 'labels of the node, as disk=ssd,pool=test',
  'root-dir': 'where volumes and the like are (default /var/lib/kubelet)',
  'cert-dir': 'where its certificates are (default ROOT-DIR/pki)',
  'image-credential-provider-config': 'CredentialProviderConfig, or a folder of them',
  'image-credential-provider-bin-dir': 'where its programs are',
  'container-runtime-endpoint': 'socket of the runtime (unix:///run/containerd/containerd.sock)',
};

export function addKubeletFlags(command: Command): Command {
  for (const [flag, help] of Object.entries(ownFlags)) command.option(`--${flag} <value>`, help);
  for (const [flag, [field, read]] of Object.entries(fieldFlags)) {
    // As upstream's: a boolean flag alone means true.
    const value = read === boolean ? '[value]' : '<value>';
    command.option(`--${flag} ${value}`, `field ${field}`);
  }
  return command.option('-v, --v <n>', 'log level; 4 and more: debug');
}

/** From the texts of the command line, by flags in camel case. */
export function kubeletFlags(options: Readonly<Record<string, string | true>>): KubeletFlags {
  const fields: Record<string, unknown> = {};
  for (const [flag, [field, read]] of Object.entries(fieldFlags)) {
    const value = options[camelCase(flag)];
    if (value === undefined) continue;
    const result = read(`--${flag}`, value === true ? 'true' : value);
    if (field === 'clientCAFile') fields['authentication'] = { x509: { clientCAFile: result } };
    else fields[field] = result;
  }
  const own = Object.keys(ownFlags).flatMap((flag) => {
    const value = options[camelCase(flag)];
    return value === undefined ? [] : [[camelCase(flag), value]];
  });
  const { v } = options;
  return { ...Object.fromEntries(own), ...(typeof v === 'string' ? { v } : {}), fields };
}

function camelCase(flag: string): string {
  return flag.replaceAll(/-(\w)/g, (_all, letter: string) => letter.toUpperCase());
}
