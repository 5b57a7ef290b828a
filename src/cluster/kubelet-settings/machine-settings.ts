/**
 * The fields of a `KubeletConfiguration` about the node itself: how often its status is told, its
 * logs, what is enforced in its cgroups, dead containers; read to settings of the kubelet. What
 * cannot be used is refused with upstream's words. Pure. `kubelet-settings.ts` calls this.
 */
import { parseQuantity, quantityValue } from '#api/quantity.ts';
import { defaultSettings, type KubeletSettings } from '#kubelet';
import { ConfigError } from '../settings/config.ts';
import { durationMs, invalid } from './placement-settings.ts';

export interface MachineFields {
  readonly nodeStatusUpdateFrequency?: string;
  readonly nodeStatusReportFrequency?: string;
  readonly nodeLeaseDurationSeconds?: number;
  readonly nodeStatusMaxImages?: number;
  readonly podsPerCore?: number;
  readonly resolvConf?: string;
  readonly containerLogMaxSize?: string;
  readonly containerLogMaxFiles?: number;
  readonly containerLogMonitorInterval?: string;
  readonly fileCheckFrequency?: string;
  readonly httpCheckFrequency?: string;
  readonly enforceNodeAllocatable?: readonly string[];
  readonly cgroupsPerQOS?: boolean;
  readonly systemReservedCgroup?: string;
  readonly kubeReservedCgroup?: string;
  readonly reservedSystemCPUs?: string;
  readonly seccompDefault?: boolean;
  readonly cpuCFSQuota?: boolean;
  readonly cpuCFSQuotaPeriod?: string;
  readonly localStorageCapacityIsolation?: boolean;
  readonly userNamespaces?: { readonly idsPerPod?: number };
  readonly singleProcessOOMKill?: boolean;
  readonly memorySwap?: { readonly swapBehavior?: string };
  readonly crashLoopBackOff?: { readonly maxContainerRestartPeriod?: string };
}

export const machineFields =
  'nodeStatusUpdateFrequency nodeStatusReportFrequency nodeLeaseDurationSeconds ' +
  'nodeStatusMaxImages podsPerCore resolvConf containerLogMaxSize containerLogMaxFiles ' +
  'containerLogMonitorInterval fileCheckFrequency httpCheckFrequency enforceNodeAllocatable ' +
  'systemReservedCgroup kubeReservedCgroup seccompDefault cpuCFSQuota crashLoopBackOff ' +
  'singleProcessOOMKill memorySwap cpuCFSQuotaPeriod localStorageCapacityIsolation userNamespaces';

export function machineSettings(fields: MachineFields): Partial<KubeletSettings> {
  const base = defaultSettings;
  const updateMs = positiveMs(fields, 'nodeStatusUpdateFrequency', 'nodeStatusUpdateFrequencyMs');
  const reportMs = positiveMs(fields, 'nodeStatusReportFrequency', 'nodeStatusReportFrequencyMs');
  return {
    nodeStatusUpdateFrequencyMs: updateMs,
    nodeStatusReportFrequencyMs: reportMs,
    nodeLeaseDurationSeconds: leaseSeconds(fields),
    nodeStatusMaxImages: atLeast(-1, fields, 'nodeStatusMaxImages', '--node-status-max-images'),
    podsPerCore: atLeast(0, fields, 'podsPerCore', '--pods-per-core'),
    resolvConf: fields.resolvConf ?? base.resolvConf,
    containerLogMaxBytes: logBytes(fields.containerLogMaxSize),
    containerLogMaxFiles: logFiles(fields.containerLogMaxFiles),
    containerLogMonitorIntervalMs: monitorMs(fields),
    fileCheckFrequencyMs: positiveMs(fields, 'fileCheckFrequency', 'fileCheckFrequencyMs'),
    httpCheckFrequencyMs: positiveMs(fields, 'httpCheckFrequency', 'httpCheckFrequencyMs'),
    enforceNodeAllocatable: enforced(fields),
    systemReservedCgroup: fields.systemReservedCgroup ?? '',
    kubeReservedCgroup: fields.kubeReservedCgroup ?? '',
    seccompDefault: fields.seccompDefault ?? base.seccompDefault,
    cpuCFSQuota: fields.cpuCFSQuota ?? base.cpuCFSQuota,
    cpuCFSQuotaPeriodUs: quotaPeriodUs(fields),
    localStorageCapacityIsolation:
      fields.localStorageCapacityIsolation ?? base.localStorageCapacityIsolation,
    userNamespaceIdsPerPod: idsPerPod(fields),
    crashLoopMaxMs: crashLoopMs(fields),
    singleProcessOOMKill: fields.singleProcessOOMKill,
    swapBehavior: swapBehaviorOf(fields),
  };
}

function swapBehaviorOf({ memorySwap }: MachineFields): KubeletSettings['swapBehavior'] {
  const { swapBehavior = '' } = memorySwap ?? {};
  if (swapBehavior === '') return defaultSettings.swapBehavior;
  if (swapBehavior === 'NoSwap' || swapBehavior === 'LimitedSwap') return swapBehavior;
  throw invalid(
    `memorySwap.swapBehavior "${swapBehavior}" must be one of: "", "LimitedSwap" or "NoSwap"`,
  );
}

function quotaPeriodUs({ cpuCFSQuotaPeriod: text }: MachineFields): number {
  const { cpuCFSQuotaPeriodUs } = defaultSettings;
  const ms = durationMs('cpuCFSQuotaPeriod', text, cpuCFSQuotaPeriodUs / 1000);
  if (ms >= 1 && ms <= 1000) return Math.floor(ms * 1000);
  throw invalid(
    `cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {${text}} must be between 1ms and 1sec, inclusive`,
  );
}

function idsPerPod({ userNamespaces: { idsPerPod: ids } = {} }: MachineFields): number {
  const unit = defaultSettings.userNamespaceIdsPerPod;
  if (ids === undefined) return unit;
  const must = 'userNamespaces.idsPerPod must';
  if (ids < unit) throw invalid(`${must} not be less than ${unit}`);
  if (ids % unit !== 0) throw invalid(`${must} be a multiple of ${unit}`);
  if (ids > 2 ** 32 - 1) throw invalid(`${must} not be more than ${2 ** 32 - 1}`);
  return ids;
}

function crashLoopMs({
  crashLoopBackOff: { maxContainerRestartPeriod: text } = {},
}: MachineFields) {
  const { crashLoopMaxMs } = defaultSettings;
  const ms = durationMs('crashLoopBackOff.maxContainerRestartPeriod', text, crashLoopMaxMs);
  if (ms >= 1000 && ms <= crashLoopMaxMs) return ms;
  throw invalid(
    `CrashLoopBackOff.MaxContainerRestartPeriod (got: ${ms / 1000} seconds) ` +
      'must be set between 1s and 300s',
  );
}

/** Upstream cannot tell 0 from nothing here. */
function positiveMs(
  fields: MachineFields,
  name:
    | 'nodeStatusUpdateFrequency'
    | 'nodeStatusReportFrequency'
    | 'fileCheckFrequency'
    | 'httpCheckFrequency',
  setting:
    | 'nodeStatusUpdateFrequencyMs'
    | 'nodeStatusReportFrequencyMs'
    | 'fileCheckFrequencyMs'
    | 'httpCheckFrequencyMs',
): number {
  return durationMs(name, fields[name], 0) || defaultSettings[setting];
}

function leaseSeconds({ nodeLeaseDurationSeconds: seconds = 0 }: MachineFields): number {
  if (seconds < 0) throw invalid('nodeLeaseDurationSeconds must be greater than 0');
  return seconds || defaultSettings.nodeLeaseDurationSeconds;
}

function atLeast(
  least: number,
  fields: MachineFields,
  name: 'nodeStatusMaxImages' | 'podsPerCore',
  flag: string,
): number {
  const value = fields[name] ?? defaultSettings[name];
  if (value >= least) return value;
  const rule = least === 0 ? 'must not be a negative number' : `must be ${least} or greater`;
  throw invalid(`${name} (${flag}) ${value} ${rule}`);
}

function logBytes(text: string | undefined): number {
  if (text === undefined || text === '') return defaultSettings.containerLogMaxBytes;
  if (parseQuantity(text) === undefined) {
    throw new ConfigError(
      `failed to parse container log max size "${text}": quantities must match the regular ` +
        "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
  }
  const bytes = quantityValue(text);
  if (bytes < 0) return Number.MAX_SAFE_INTEGER;
  return bytes;
}

function logFiles(files: number = defaultSettings.containerLogMaxFiles): number {
  if (files > 1) return files;
  throw invalid('containerLogMaxFiles must be greater than 1');
}

function monitorMs({ containerLogMonitorInterval: text }: MachineFields): number {
  const ms = durationMs('containerLogMonitorInterval', text, 0);
  if (ms > 0 && ms < 3000) {
    throw invalid(
      'containerLogMonitorInterval must be a positive time duration greater than or equal to 3s',
    );
  }
  return ms || defaultSettings.containerLogMonitorIntervalMs;
}

const levels = [
  'pods',
  'system-reserved',
  'system-reserved-compressible',
  'kube-reserved',
  'kube-reserved-compressible',
  'none',
];
const where = 'enforceNodeAllocatable (--enforce-node-allocatable)';

function enforced(fields: MachineFields): readonly string[] {
  const wanted = fields.enforceNodeAllocatable ?? defaultSettings.enforceNodeAllocatable;
  const { systemReservedCgroup = '', kubeReservedCgroup = '', reservedSystemCPUs = '' } = fields;
  for (const sort of ['system-reserved', 'kube-reserved']) {
    if (wanted.includes(sort) && wanted.includes(`${sort}-compressible`)) {
      throw invalid(
        `both "${sort}-compressible" and "${sort}" cannot be specified together in ${where}`,
      );
    }
  }
  for (const [index, level] of wanted.entries()) {
    if (wanted.indexOf(level) !== index) {
      throw invalid(`duplicated enforcements "${level}" in ${where}`);
    }
    refuseLevel(level, wanted, { systemReservedCgroup, kubeReservedCgroup });
    if (level !== 'none' && fields.cgroupsPerQOS === false) {
      const switched = 'cgroupsPerQOS (--cgroups-per-qos) must be set to true';
      throw invalid(`${switched} when "${level}" contained in ${where}`);
    }
  }
  if (reservedSystemCPUs !== '' && (systemReservedCgroup !== '' || kubeReservedCgroup !== '')) {
    throw invalid(
      "can't use reservedSystemCPUs (--reserved-cpus) with " +
        'systemReservedCgroup (--system-reserved-cgroup) or ' +
        'kubeReservedCgroup (--kube-reserved-cgroup)',
    );
  }
  return wanted.filter((level) => level !== 'none');
}

function refuseLevel(
  level: string,
  wanted: readonly string[],
  cgroups: { readonly systemReservedCgroup: string; readonly kubeReservedCgroup: string },
): void {
  if (!levels.includes(level)) {
    const names = levels.map((name) => `"${name}"`);
    const last = names.pop();
    throw invalid(
      `option "${level}" specified for ${where}. ` +
        `Valid options are ${names.join(', ')} or ${last}`,
    );
  }
  if (level === 'none' && wanted.length > 1) {
    throw invalid(`${where} may not contain additional enforcements when "none" is specified`);
  }
  const [sort] = level.split('-');
  if (sort !== 'system' && sort !== 'kube') return;
  if (cgroups[`${sort}ReservedCgroup`] !== '') return;
  throw invalid(
    `${sort}ReservedCgroup (--${sort}-reserved-cgroup) must be specified when ` +
      `"${sort}-reserved" or "${sort}-reserved-compressible" included in ${where}`,
  );
}
