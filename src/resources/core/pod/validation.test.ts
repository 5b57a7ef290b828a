/** Pods that are refused, field by field, in upstream's words; and what may change in one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFieldError } from '#api/field-error.ts';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { updated, written } from '#test/descriptor.ts';

const container = { name: 'web', image: 'nginx:1' };

function body(spec: unknown) {
  const metadata = { name: 'web', namespace: 'default' };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec };
}

/** The errors of a pod with one good container and these fields. */
function errors(spec: object): readonly string[] {
  return written<Pod>(body({ containers: [container], ...spec })).errors;
}

/** The errors of a container with these fields, without the path to it. */
function containerErrors(fields: object, spec: object = {}): readonly string[] {
  return errors({ containers: [{ ...container, ...fields }], ...spec }).map((text) =>
    text.replace('spec.containers[0].', ''),
  );
}

test('a good pod passes', () => {
  assert.deepEqual(
    containerErrors(
      {
        ports: [{ name: 'http', containerPort: 80 }],
        env: [
          { name: 'A', value: 'x' },
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
        ],
        resources: { requests: { cpu: '100m' }, limits: { cpu: '1', 'example.com/gpu': '2' } },
        volumeMounts: [{ name: 'data', mountPath: '/data', subPath: 'a/b' }],
        livenessProbe: { httpGet: { port: 'http' } },
        readinessProbe: { exec: { command: ['true'] }, successThreshold: 2 },
      },
      { volumes: [{ name: 'data' }], tolerations: [{ operator: 'Exists' }] },
    ),
    [],
  );
});

test('containers', () => {
  covers('API-064');
  assert.deepEqual(errors({ containers: [] }), ['spec.containers: Required value']);
  assert.deepEqual(containerErrors({ name: '' }), ['name: Required value']);
  assert.match(
    containerErrors({ name: 'A_' })[0] ?? '',
    /^name: Invalid value: "A_": a lowercase RFC/,
  );
  assert.deepEqual(containerErrors({ image: '' }), ['image: Required value']);
  assert.deepEqual(containerErrors({ image: ' x' }), [
    'image: Invalid value: " x": must not have leading or trailing whitespace',
  ]);
  assert.deepEqual(errors({ containers: [container, container] }), [
    'spec.containers[1].name: Duplicate value: "web"',
  ]);
  assert.deepEqual(errors({ initContainers: [container] }), [
    'spec.initContainers[0].name: Duplicate value: "web"',
  ]);
  assert.deepEqual(containerErrors({ imagePullPolicy: 'Sometimes' }), [
    'imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
  ]);
});

test('a name instead of that of its host', () => {
  assert.deepEqual(errors({ hostnameOverride: 'web.example.com' }), []);
  assert.deepEqual(
    errors({ hostnameOverride: 'web', setHostnameAsFQDN: true, hostNetwork: true }),
    [
      'spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true',
      'spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true',
    ],
  );
  const [long] = errors({ hostnameOverride: 'a'.repeat(65) });
  assert.equal(long, 'spec.hostnameOverride: Too long: may not be more than 64 bytes');
  assert.match(errors({ hostnameOverride: 'A_' })[0] ?? '', /Invalid value: "A_": a lowercase RFC/);
});

test('only who may do anything mounts for others', () => {
  const volumeMounts = [{ name: 'v', mountPath: '/v', mountPropagation: 'Bidirectional' }];
  const spec = { volumes: [{ name: 'v', hostPath: { path: '/v' } }] };
  assert.deepEqual(containerErrors({ volumeMounts }, spec), [
    'volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers',
  ]);
  const securityContext = { privileged: true };
  assert.deepEqual(containerErrors({ volumeMounts, securityContext }, spec), []);
});

test('init containers have no probes', () => {
  covers('API-062');
  const init = { name: 'init', image: 'x:1', readinessProbe: { exec: { command: ['true'] } } };
  assert.deepEqual(errors({ initContainers: [init] }), [
    'spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
  ]);
  assert.deepEqual(errors({ initContainers: [{ ...init, restartPolicy: 'Always' }] }), []);
});

test('ports', () => {
  assert.deepEqual(containerErrors({ ports: [{ containerPort: 65536 }] }), [
    'ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, inclusive',
  ]);
  assert.deepEqual(containerErrors({ ports: [{ containerPort: 80, protocol: 'ICMP' }] }), [
    'ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
  ]);
  assert.deepEqual(
    containerErrors({ ports: [{ containerPort: 80, name: 'a-name-too-long-for-it' }] }),
    ['ports[0].name: Invalid value: "a-name-too-long-for-it": must be no more than 15 characters'],
  );
  const twice = [
    { containerPort: 80, hostPort: 80 },
    { containerPort: 81, hostPort: 80 },
  ];
  assert.deepEqual(containerErrors({ ports: twice }), [
    'ports[1].hostPort: Duplicate value: "TCP//80"',
  ]);
});

test('environment', () => {
  const from = (valueFrom: object, value?: string) =>
    containerErrors({ env: [{ name: 'A', valueFrom, ...(value ? { value } : {}) }] });
  assert.deepEqual(containerErrors({ env: [{ name: '', value: 'x' }] }), [
    'env[0].name: Required value',
  ]);
  assert.equal(containerErrors({ env: [{ name: 'a=b' }] }).length, 1);
  const fieldRef = { fieldPath: 'metadata.name' };
  assert.deepEqual(from({ fieldRef }, 'x'), [
    'env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
  ]);
  assert.deepEqual(from({ fieldRef: { fieldPath: 'spec.color' } }), [
    'env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.color": error converting fieldPath: field label not supported: spec.color',
  ]);
  assert.match(
    from({ fieldRef: { fieldPath: 'status.phase' } })[0] ?? '',
    /Unsupported value: "status\.phase"/,
  );
  assert.deepEqual(from({ fieldRef: { fieldPath: "metadata.labels['app']" } }), []);
  assert.deepEqual(from({ secretKeyRef: { name: 's', key: '' } }), [
    'env[0].valueFrom.secretKeyRef.key: Required value',
  ]);
  assert.match(from({})[0] ?? '', /must specify one of: `fieldRef`/);
});

test('resources', () => {
  const resources = (limits: object, requests: object = {}) =>
    containerErrors({ resources: { limits, requests } });
  assert.deepEqual(resources({ cpu: '1' }, { cpu: '2' }), [
    'resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
  ]);
  assert.deepEqual(resources({ memory: '-1' }, { memory: '-1' }), [
    'resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0',
    'resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0',
  ]);
  assert.deepEqual(resources({ 'example.com/gpu': '500m' }), [
    'resources.limits[example.com/gpu]: Invalid value: "500m": must be an integer',
    'resources.requests[example.com/gpu]: Invalid value: "500m": must be an integer',
  ]);
  assert.deepEqual(resources({ 'example.com/gpu': '2' }, { 'example.com/gpu': '1' }), [
    'resources.requests: Invalid value: "1": must be equal to example.com/gpu limit of 2',
  ]);
  assert.equal(resources({ color: '1' }).length > 0, true);
  assert.deepEqual(containerErrors({ resources: { requests: { 'example.com/gpu': '1' } } }), [
    'resources.limits: Required value: Limit must be set for non overcommitable resources',
  ]);
});

test('what is counted whole is not given in parts', () => {
  covers('API-085');
  const dongles = (amount: string) =>
    containerErrors({ resources: { limits: { 'example.com/dongle': amount } } });
  for (const amount of ['3', '3000m', '3Ki']) assert.deepEqual(dongles(amount), [], amount);
  for (const amount of ['0.5', '1500m']) assert.match(dongles(amount).join(), /must be an integer/);
});

test('probes and hooks', () => {
  assert.deepEqual(containerErrors({ livenessProbe: {} }), [
    'livenessProbe: Required value: must specify a handler type',
  ]);
  const exec = { command: ['true'] };
  assert.deepEqual(containerErrors({ livenessProbe: { exec, successThreshold: 2 } }), [
    'livenessProbe.successThreshold: Invalid value: 2: must be 1',
  ]);
  assert.deepEqual(containerErrors({ readinessProbe: { exec, periodSeconds: -1 } }), [
    'readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0',
  ]);
  assert.deepEqual(containerErrors({ readinessProbe: { exec, tcpSocket: { port: 1 } } }), [
    'readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type',
  ]);
  assert.deepEqual(containerErrors({ readinessProbe: { httpGet: { port: 70_000 } } }), [
    'readinessProbe.httpGet.port: Invalid value: 70000: must be between 1 and 65535, inclusive',
  ]);
  assert.deepEqual(containerErrors({ lifecycle: { preStop: { exec: {} } } }), [
    'lifecycle.preStop.exec.command: Required value',
  ]);
});

test('volumes and mounts', () => {
  const volumes = (...list: object[]) => errors({ volumes: list });
  assert.deepEqual(volumes({ name: 'a' }, { name: 'a' }), [
    'spec.volumes[1].name: Duplicate value: "a"',
  ]);
  assert.deepEqual(volumes({ name: 'a', emptyDir: {}, hostPath: { path: '/x' } }), [
    'spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type',
  ]);
  assert.deepEqual(volumes({ name: 'a', secret: {} }), [
    'spec.volumes[0].secret.secretName: Required value',
  ]);
  assert.deepEqual(volumes({ name: 'a', configMap: { name: 'c', defaultMode: 512 } }), [
    'spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive',
  ]);
  assert.deepEqual(
    volumes({ name: 'a', configMap: { name: 'c', items: [{ key: 'k', path: '../x' }] } }),
    ['spec.volumes[0].configMap.items[0].path: Invalid value: "../x": must not contain \'..\''],
  );
  assert.deepEqual(containerErrors({ volumeMounts: [{ name: 'none', mountPath: '/a' }] }), [
    'volumeMounts[0].name: Not found: "none"',
  ]);
  const mount = { name: 'a', mountPath: '/a' };
  assert.deepEqual(
    containerErrors({ volumeMounts: [mount, mount] }, { volumes: [{ name: 'a' }] }),
    ['volumeMounts[1].mountPath: Invalid value: "/a": must be unique'],
  );
});

test('policies, names and scheduling', () => {
  assert.deepEqual(errors({ restartPolicy: 'Sometimes' }), [
    'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
  ]);
  assert.deepEqual(errors({ activeDeadlineSeconds: 0 }), [
    'spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive',
  ]);
  assert.deepEqual(errors({ dnsPolicy: 'None' }), [
    'spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None',
  ]);
  const [fsGroupChangePolicy, supplementalGroupsPolicy, seLinuxChangePolicy] = ['a', 'b', ''];
  assert.deepEqual(
    errors({
      securityContext: { fsGroupChangePolicy, supplementalGroupsPolicy, seLinuxChangePolicy },
    }),
    [
      'spec.securityContext.fsGroupChangePolicy: Unsupported value: "a": supported values: "Always", "OnRootMismatch"',
      'spec.securityContext.supplementalGroupsPolicy: Unsupported value: "b": supported values: "Merge", "Strict"',
      'spec.securityContext.seLinuxChangePolicy: Unsupported value: "": supported values: "Recursive"',
    ],
  );
  assert.equal(errors({ nodeSelector: { 'a b': 'c' } }).length, 1);
  assert.deepEqual(errors({ tolerations: [{ value: 'x' }] }), [
    'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, which means "match all values and all keys"',
  ]);
  assert.deepEqual(
    errors({ tolerations: [{ key: 'a', effect: 'NoSchedule', tolerationSeconds: 3 }] }),
    [
      'spec.tolerations[0].effect: Invalid value: "NoSchedule": effect must be \'NoExecute\' when `tolerationSeconds` is set',
    ],
  );
  const term = { labelSelector: {}, topologyKey: '' };
  const [missing] = errors({
    affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } },
  });
  assert.equal(
    missing,
    'spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty',
  );
});

function change(spec: (old: PodSpec) => object): readonly string[] {
  const old = written<Pod>(body({ containers: [container], activeDeadlineSeconds: 60 })).hub;
  assert.ok(old.spec);
  return updated<Pod>({ ...old, spec: spec(old.spec) }, old).errors;
}

test('of a pod that exists only little may change', () => {
  covers('API-076');
  const first = (spec: PodSpec, fields: object) => ({
    ...spec,
    containers: [{ ...spec.containers[0], ...fields }],
  });
  assert.deepEqual(
    change((spec) => spec),
    [],
  );
  assert.deepEqual(
    change((spec) => first(spec, { image: 'nginx:2' })),
    [],
  );
  assert.deepEqual(
    change((spec) => ({ ...spec, activeDeadlineSeconds: 30 })),
    [],
  );
  assert.deepEqual(
    change((spec) => ({ ...spec, tolerations: [{ operator: 'Exists' }] })),
    [],
  );
  assert.deepEqual(
    change((spec) => ({ ...spec, activeDeadlineSeconds: 90 })),
    ['spec.activeDeadlineSeconds: Invalid value: 90: must be less than or equal to previous value'],
  );
  assert.deepEqual(
    change((spec) => ({ ...spec, containers: [...spec.containers, { ...container, name: 'b' }] })),
    ['spec.containers: Forbidden: pod updates may not add or remove containers'],
  );
  const [problem, ...others] = change((spec) => first(spec, { command: ['sh'] }));
  assert.deepEqual(others, []);
  assert.equal(
    problem,
    'spec: Forbidden: pod updates may not change fields other than ' +
      '`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,' +
      '`spec.tolerations` (only additions to existing tolerations),' +
      '`spec.terminationGracePeriodSeconds` ' +
      '(allow it to be set to 1 if it was previously negative)' +
      '\nspec.containers[0].command: null -> ["sh"]',
  );
});

test('tolerations are only added, gates only removed', () => {
  const tolerations = [{ key: 'a', operator: 'Exists' }];
  const schedulingGates = [{ name: 'example.com/gate' }];
  const old = written<Pod>(body({ containers: [container], tolerations, schedulingGates })).hub;
  const next = (fields: object) =>
    updated<Pod>({ ...old, spec: { ...old.spec, ...fields } }, old).errors;
  assert.deepEqual(next({ schedulingGates: [] }), []);
  assert.deepEqual(next({ nodeSelector: { a: 'b' } }), []);
  assert.deepEqual(next({ schedulingGates: [{ name: 'example.com/other' }] }), [
    "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'example.com/other'",
  ]);
  assert.deepEqual(next({ tolerations: [] }), [
    'spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds',
  ]);
});

test('plain writes keep the status, status writes keep the rest', () => {
  const old: Pod = {
    ...written<Pod>(body({ containers: [container] })).hub,
    status: { phase: 'Running', qosClass: 'BestEffort' },
  };
  const next = updated<Pod>({ ...old, status: { phase: 'Failed' } }, old);
  assert.deepEqual(next.hub.status, old.status);
  const status = updated<Pod>(
    { ...old, spec: { containers: [{ ...container, image: 'x:2' }] }, status: { phase: 'Failed' } },
    old,
    'status',
  );
  assert.deepEqual(status.hub.spec, old.spec);
  assert.deepEqual(status.hub.status, { phase: 'Failed', qosClass: 'BestEffort' });
});

test('how long a pod may take to stop', () => {
  const { hub, resource } = written<Pod>(body({ containers: [container] }));
  const grace = (pod: Pod) => resource.gracePeriodSeconds?.(pod);
  const bound: Pod = { ...hub, spec: { ...hub.spec, nodeName: 'n', containers: [] } };
  assert.equal(grace(hub), 0);
  assert.equal(grace(bound), 30);
  assert.equal(grace({ ...bound, status: { phase: 'Succeeded' } }), 0);
});

test('warnings for what is probably not meant', () => {
  const { hub, resource } = written<Pod>(
    body({
      containers: [
        {
          ...container,
          env: [
            { name: 'A', value: '1' },
            { name: 'A', value: '2' },
            { name: 'A', value: 'x$(A)' },
          ],
          ports: [{ containerPort: 80 }, { containerPort: 80 }],
        },
      ],
    }),
  );
  assert.deepEqual(resource.warnings?.(hub, undefined), [
    'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
    'spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]',
  ]);
});

test('a pod that waits at a gate is narrowed down to fewer nodes, and no more', () => {
  const nodeSelectorTerms = [{ matchExpressions: [{ key: 'zone', operator: 'Exists' }] }];
  const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
  const old = written<Pod>(
    body({
      containers: [container],
      schedulingGates: [{ name: 'example.com/gate' }],
      nodeSelector: { disk: 'ssd' },
      affinity: { nodeAffinity: required },
    }),
  ).hub;
  const next = (fields: object) =>
    updated<Pod>({ ...old, spec: { ...old.spec, ...fields } }, old).errors;
  const terms = (...list: readonly object[]) =>
    next({
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: list },
        },
      },
    });
  assert.deepEqual(next({ nodeSelector: { disk: 'ssd', arch: 'arm64' } }), []);
  assert.deepEqual(next({ nodeSelector: { disk: 'hdd' } }), [
    'spec.nodeSelector: Invalid value: {"disk":"hdd"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
  ]);
  const [term] = nodeSelectorTerms;
  const more = { key: 'arch', operator: 'Exists' };
  assert.deepEqual(terms({ matchExpressions: [...(term?.matchExpressions ?? []), more] }), []);
  assert.match(
    terms({ matchExpressions: [more] })[0] ?? '',
    /nodeSelectorTerms\[0\]: .*only additi/,
  );
  assert.match(terms({ ...term }, { ...term })[0] ?? '', /no additions\/deletions to non-empty/);
});

test('the rarer choices of containers and volumes', () => {
  assert.deepEqual(
    containerErrors({ resizePolicy: [{ resourceName: 'cpux', restartPolicy: '' }] }),
    [
      'resizePolicy: Unsupported value: "cpux": supported values: "cpu", "memory"',
      'resizePolicy: Required value',
    ],
  );
  const reference = { containerName: 'web', resource: 'limits.cpu', divisor: '1500m' };
  assert.deepEqual(
    containerErrors({ env: [{ name: 'A', valueFrom: { resourceFieldRef: reference } }] }),
    [
      'env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor\'s values 1m and 1 are supported with the cpu resource',
    ],
  );
  const volumes = [{ name: 'disk', persistentVolumeClaim: { claimName: 'disk' } }];
  const device = { name: 'disk', devicePath: '/dev/disk' };
  assert.deepEqual(containerErrors({ volumeDevices: [device, device] }, { volumes }), [
    'volumeDevices[1].name: Invalid value: "disk": must be unique',
    'volumeDevices[1].devicePath: Invalid value: "/dev/disk": must be unique',
  ]);
  const lifecycle = { preStop: { sleep: { seconds: 5 } } };
  assert.deepEqual(containerErrors({ lifecycle }, { terminationGracePeriodSeconds: 4 }), [
    'lifecycle.preStop.sleep: Invalid value: 5: must be non-negative and less than terminationGracePeriodSeconds (4)',
  ]);
  const spread = { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'ScheduleAnyway' };
  assert.deepEqual(
    errors({ topologySpreadConstraints: [{ ...spread, minDomains: 2, nodeTaintsPolicy: 'x' }] }),
    [
      'spec.topologySpreadConstraints[0].minDomains: Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway',
      'spec.topologySpreadConstraints[0].nodeTaintsPolicy: Unsupported value: "x": supported values: "Honor", "Ignore"',
    ],
  );
});

test('addresses and generations of a status go together', () => {
  const old: Pod = {
    ...written<Pod>(body({ containers: [container] })).hub,
    status: { podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }], observedGeneration: 3 },
  };
  const next = (status: object) => updated<Pod>({ ...old, status }, old, 'status');
  assert.deepEqual(next({ podIPs: [{ ip: '10.0.0.2' }] }).hub.status, {
    podIP: '10.0.0.2',
    podIPs: [{ ip: '10.0.0.2' }],
    observedGeneration: 3,
  });
  assert.deepEqual(next({ podIP: '10.0.0.3', podIPs: [{ ip: '10.0.0.1' }] }).hub.status?.podIPs, [
    { ip: '10.0.0.3' },
  ]);
  const both = [{ ip: '10.0.0.2' }, { ip: '10.0.0.4' }];
  assert.match(next({ podIPs: both }).errors[0] ?? '', /no more than one IP for each IP family/);
  assert.deepEqual(next({ nominatedNodeName: 'n', observedGeneration: -1 }).errors, [
    'status.observedGeneration: Invalid value: -1: must be a non-negative integer',
  ]);
});

test('how an image is pulled goes by its tag, if it is the name of an image', () => {
  const policy = (image: string) =>
    written<Pod>(body({ containers: [{ ...container, image }] })).hub.spec?.containers[0]
      ?.imagePullPolicy;
  assert.equal(policy('localhost:5000/team/app'), 'Always');
  assert.equal(policy('app:latest'), 'Always');
  assert.equal(policy('app:1'), 'IfNotPresent');
  assert.equal(policy('Not_Valid!'), 'IfNotPresent');
});

test('a new pod has no ephemeral containers', () => {
  const ephemeralContainers = [{ ...container, name: 'debug' }];
  const { hub, resource } = written<Pod>(body({ containers: [container], ephemeralContainers }));
  const told = resource.validateNew?.(hub, { group: '', version: 'v1' }).map(formatFieldError);
  assert.deepEqual(told, ['spec.ephemeralContainers: Forbidden: cannot be set on create']);
});

test('a variable out of a file names a key, a path inside, and an emptyDir', () => {
  const volumes = [
    { name: 'own', emptyDir: {} },
    { name: 'host', hostPath: { path: '/tmp' } },
  ];
  const errors = (fileKeyRef: object) =>
    containerErrors({ env: [{ name: 'A', valueFrom: { fileKeyRef } }] }, { volumes });
  const sound = { volumeName: 'own', path: 'deep/file', key: 'K' };
  assert.deepEqual(errors(sound), []);
  const at = 'env[0].valueFrom.fileKeyRef';
  assert.deepEqual(errors({ ...sound, key: '', path: '' }), [
    `${at}.key: Required value`,
    `${at}.path: Required value`,
  ]);
  assert.deepEqual(errors({ ...sound, path: 'a/../b' }), [
    `${at}.path: Invalid value: "a/../b": must not contain '..'`,
  ]);
  assert.deepEqual(errors({ ...sound, volumeName: 'host' }), [
    `${at}.volumeName: Invalid value: "host": referenced volume must be of type emptyDir`,
  ]);
  assert.deepEqual(errors({ ...sound, volumeName: 'none' }), [
    `${at}.volumeName: Not found: "none"`,
  ]);
});
