/**
 * Defaults of pods and pod templates, as the API documents them: restart policy, DNS policy, grace
 * period, image pull policy by tag, probe timings, requests from limits, and so on.
 *
 * A pod gets a few more than a template (service links, requests from limits, host ports of the
 * host network), because those would otherwise change templates that are stored already.
 */
import { inThousandths, withRoundAmounts } from '#resources/amounts.ts';
import { changeMember, fillIn, mapItems } from '#resources/fill-in.ts';
import type {
  Container,
  ContainerPort,
  EnvVar,
  EphemeralContainer,
  HTTPGetAction,
  Lifecycle,
  LifecycleHandler,
  Pod,
  PodSpec,
  PodTemplateSpec,
  Probe,
  ResourceRequirements,
} from '#resources/types/core-v1.ts';
import { isLatest, setVolumeDefaults } from './volume-defaults.ts';

export function setPodDefaults(pod: Pod): Pod {
  if (pod.spec === undefined) return pod;
  const spec = setPodSpecDefaults(pod.spec);
  const containers = (list: readonly Container[]): readonly Container[] =>
    mapItems(list, (container) => {
      const next = changeMember(container, 'resources', requestsFromLimits);
      return spec.hostNetwork === true ? withHostPorts(next) : next;
    });
  let next = fillIn(spec, { enableServiceLinks: true });
  // In a pod, whoever writes it and when; templates keep what they say.
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    next = { ...next, terminationGracePeriodSeconds: 1 };
  }
  next = changeMember(next, 'containers', containers);
  next = changeMember(next, 'initContainers', containers);
  next = changeMember(next, 'resources', requestsFromLimits);
  return next === pod.spec ? pod : { ...pod, spec: next };
}

export function setPodTemplateDefaults(template: PodTemplateSpec): PodTemplateSpec {
  return changeMember(template, 'spec', setPodSpecDefaults);
}

function setPodSpecDefaults(spec: PodSpec): PodSpec {
  let next = fillIn(spec, {
    dnsPolicy: 'ClusterFirst',
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    schedulerName: 'default-scheduler',
    securityContext: {},
    // The old name of the field still carries the same value.
    serviceAccountName: spec.serviceAccount,
  });
  next = mirrorServiceAccount(next);
  next = changeMember(next, 'overhead', inThousandths);
  next = changeMember(next, 'resources', withRoundAmounts);
  next = changeMember(next, 'volumes', (volumes) => mapItems(volumes, setVolumeDefaults));
  next = changeMember(next, 'containers', (list) => mapItems(list, setContainerDefaults));
  next = changeMember(next, 'initContainers', (list) => mapItems(list, setContainerDefaults));
  return changeMember(next, 'ephemeralContainers', (list) =>
    mapItems(list, (container) => setContainerDefaults<EphemeralContainer>(container)),
  );
}

/** `serviceAccount` always says what `serviceAccountName` says. */
export function mirrorServiceAccount(spec: PodSpec): PodSpec {
  if (!spec.serviceAccountName || spec.serviceAccount === spec.serviceAccountName) return spec;
  return { ...spec, serviceAccount: spec.serviceAccountName };
}

function setContainerDefaults<T extends Container | EphemeralContainer>(container: T): T {
  let next: Container | EphemeralContainer = fillIn<Container | EphemeralContainer>(container, {
    imagePullPolicy: isLatest(container.image ?? '') ? 'Always' : 'IfNotPresent',
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    resources: {},
  });
  next = changeMember(next, 'resources', withRoundAmounts);
  next = changeMember(next, 'ports', (ports) => mapItems(ports, setPortDefaults));
  next = changeMember(next, 'env', (env) => mapItems(env, setEnvDefaults));
  next = changeMember(next, 'livenessProbe', setProbeDefaults);
  next = changeMember(next, 'readinessProbe', setProbeDefaults);
  next = changeMember(next, 'startupProbe', setProbeDefaults);
  // Only members that both kinds of container have were set.
  return changeMember(next, 'lifecycle', setLifecycleDefaults) as T;
}

function setPortDefaults(port: ContainerPort): ContainerPort {
  return fillIn(port, { protocol: 'TCP' });
}

function setEnvDefaults(env: EnvVar): EnvVar {
  return changeMember(env, 'valueFrom', (source) =>
    changeMember(
      changeMember(source, 'fieldRef', (reference) => fillIn(reference, { apiVersion: 'v1' })),
      'fileKeyRef',
      (reference) => fillIn(reference, { optional: false }),
    ),
  );
}

function setProbeDefaults(probe: Probe): Probe {
  let next = fillIn(positiveOnly(probe), {
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  });
  next = changeMember(next, 'httpGet', setHttpGetDefaults);
  return changeMember(next, 'grpc', (grpc) =>
    grpc.service === undefined ? { ...grpc, service: '' } : grpc,
  );
}

/** A zero stands for the default, as on upstream's wire. */
function positiveOnly(probe: Probe): Probe {
  const keys = ['timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const;
  if (keys.every((key) => probe[key] !== 0)) return probe;
  return Object.fromEntries(
    Object.entries(probe).filter(([key, value]) => value !== 0 || !keys.some((k) => k === key)),
  );
}

function setHttpGetDefaults(action: HTTPGetAction): HTTPGetAction {
  return fillIn(action, { path: '/', scheme: 'HTTP' });
}

function setLifecycleDefaults(lifecycle: Lifecycle): Lifecycle {
  const handler = (one: LifecycleHandler): LifecycleHandler =>
    changeMember(one, 'httpGet', setHttpGetDefaults);
  return changeMember(changeMember(lifecycle, 'postStart', handler), 'preStop', handler);
}

/** Each limit without a request asks for as much as it allows. */
function requestsFromLimits(resources: ResourceRequirements): ResourceRequirements {
  const { limits } = resources;
  if (limits === undefined) return resources;
  const requests = fillIn(resources.requests ?? {}, limits);
  return requests === resources.requests ? resources : { ...resources, requests };
}

/** On the host's network a port is the host's port. */
function withHostPorts(container: Container): Container {
  return changeMember(container, 'ports', (ports) =>
    mapItems(ports, (port) => (port.hostPort ? port : { ...port, hostPort: port.containerPort })),
  );
}
