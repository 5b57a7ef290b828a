/** What the server fills into a pod that says little, and its quality of service. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodSpec, ResourceRequirements } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { written } from '#test/descriptor.ts';
import { setPodTemplateDefaults } from './defaults.ts';
import { qosClassOf } from './qos-class.ts';
import { validatePod } from './spec-validation.ts';

function pod(spec: unknown): Pod {
  return written<Pod>({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default' },
    spec,
  }).hub;
}

test('a pod that only names an image gets everything else', () => {
  assert.deepEqual(pod({ containers: [{ name: 'web', image: 'nginx' }] }), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      containers: [
        {
          name: 'web',
          image: 'nginx',
          imagePullPolicy: 'Always',
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
          resources: {},
        },
      ],
      dnsPolicy: 'ClusterFirst',
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      schedulerName: 'default-scheduler',
      securityContext: {},
      enableServiceLinks: true,
    },
    status: { phase: 'Pending', qosClass: 'BestEffort' },
  });
});

test('what the pod says stays', () => {
  const spec = {
    containers: [
      {
        name: 'web',
        image: 'nginx',
        imagePullPolicy: 'Never',
        terminationMessagePath: '/x',
        terminationMessagePolicy: 'FallbackToLogsOnError',
        resources: {},
      },
    ],
    dnsPolicy: 'Default',
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 0,
    schedulerName: 'mine',
    securityContext: { runAsUser: 0 },
    enableServiceLinks: false,
  };
  assert.deepEqual(pod(spec).spec, spec);
});

test('the tag decides whether an image is pulled again', () => {
  covers('POD-063', 'API-100', 'API-111');
  const policy = (image: string) =>
    pod({ containers: [{ name: 'a', image }] }).spec?.containers[0]?.imagePullPolicy;
  assert.equal(policy('busybox'), 'Always');
  assert.equal(policy('busybox:latest'), 'Always');
  assert.equal(policy('busybox:1.27'), 'IfNotPresent');
  assert.equal(policy('registry.local:5000/busybox'), 'Always');
  assert.equal(policy('registry.local:5000/busybox:1'), 'IfNotPresent');
  assert.equal(policy(`busybox@sha256:${'0'.repeat(64)}`), 'IfNotPresent');
});

test('probes get timings and handlers', () => {
  covers('POD-171');
  const probed = pod({
    containers: [
      {
        name: 'a',
        image: 'b:1',
        livenessProbe: { httpGet: { port: 80 } },
        readinessProbe: { grpc: { port: 1 }, timeoutSeconds: 0, periodSeconds: 3 },
        lifecycle: { preStop: { httpGet: { port: 'x' } } },
      },
    ],
  });
  const container = probed.spec?.containers[0];
  assert.deepEqual(container?.livenessProbe, {
    httpGet: { port: 80, path: '/', scheme: 'HTTP' },
    timeoutSeconds: 1,
    periodSeconds: 10,
    successThreshold: 1,
    failureThreshold: 3,
  });
  assert.deepEqual(container?.readinessProbe, {
    grpc: { port: 1, service: '' },
    timeoutSeconds: 1,
    periodSeconds: 3,
    successThreshold: 1,
    failureThreshold: 3,
  });
  assert.deepEqual(container?.lifecycle?.preStop?.httpGet, {
    port: 'x',
    path: '/',
    scheme: 'HTTP',
  });
  // What is less than the least is the default, or refused.
  const exec = { command: ['true'] };
  const refused = (more: object) => {
    const probes = { livenessProbe: { exec, ...more } };
    const made = pod({ containers: [{ name: 'a', image: 'b:1', ...probes }] });
    return validatePod(made).map(({ field }) => field.replace(/^.*livenessProbe\./, ''));
  };
  assert.deepEqual(refused({ initialDelaySeconds: 5 }), []);
  assert.deepEqual(refused({ successThreshold: 2 }), ['successThreshold']);
  for (const name of ['periodSeconds', 'timeoutSeconds', 'failureThreshold']) {
    assert.deepEqual(refused({ [name]: -1 }), [name]);
    assert.deepEqual([refused({ [name]: 0 }), refused({ [name]: 1 })], [[], []]);
  }
});

test('volumes', () => {
  const volumes = pod({
    containers: [{ name: 'a', image: 'b:1' }],
    volumes: [
      { name: 'scratch' },
      { name: 'secret', secret: { secretName: 's' } },
      { name: 'config', configMap: { name: 'c', defaultMode: 256 } },
      {
        name: 'all',
        projected: {
          sources: [
            { serviceAccountToken: { path: 'token' } },
            { downwardAPI: { items: [{ path: 'n', fieldRef: { fieldPath: 'metadata.name' } }] } },
          ],
        },
      },
      { name: 'host', hostPath: { path: '/x' } },
    ],
  }).spec?.volumes;
  assert.deepEqual(volumes, [
    { name: 'scratch', emptyDir: {} },
    { name: 'secret', secret: { secretName: 's', defaultMode: 420 } },
    { name: 'config', configMap: { name: 'c', defaultMode: 256 } },
    {
      name: 'all',
      projected: {
        defaultMode: 420,
        sources: [
          { serviceAccountToken: { path: 'token', expirationSeconds: 3600 } },
          {
            downwardAPI: {
              items: [{ path: 'n', fieldRef: { fieldPath: 'metadata.name', apiVersion: 'v1' } }],
            },
          },
        ],
      },
    },
    { name: 'host', hostPath: { path: '/x', type: '' } },
  ]);
});

test('a limit without a request asks for as much', () => {
  const resources = pod({
    containers: [
      {
        name: 'a',
        image: 'b:1',
        resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '100m' } },
      },
    ],
  }).spec?.containers[0]?.resources;
  assert.deepEqual(resources, {
    limits: { cpu: '1', memory: '1Gi' },
    requests: { cpu: '100m', memory: '1Gi' },
  });
});

test('ports are TCP, and the host network gives them to the host', () => {
  const ports = (hostNetwork: boolean) =>
    pod({ hostNetwork, containers: [{ name: 'a', image: 'b:1', ports: [{ containerPort: 80 }] }] })
      .spec?.containers[0]?.ports;
  assert.deepEqual(ports(false), [{ containerPort: 80, protocol: 'TCP' }]);
  assert.deepEqual(ports(true), [{ containerPort: 80, protocol: 'TCP', hostPort: 80 }]);
});

test('the old name of the service account field still works', () => {
  const { spec } = pod({ serviceAccount: 'robot', containers: [{ name: 'a', image: 'b:1' }] });
  assert.equal(spec?.serviceAccountName, 'robot');
  const renamed = pod({ serviceAccountName: 'robot', containers: [{ name: 'a', image: 'b:1' }] });
  assert.equal(renamed.spec?.serviceAccount, 'robot');
});

test('init containers of annotations are ignored, as they have been since v1.8', () => {
  covers('API-061');
  const { hub } = written<Pod>({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'a',
      namespace: 'b',
      annotations: { 'pod.beta.kubernetes.io/init-containers': '[{"name":"x"}]' },
    },
    spec: { containers: [{ name: 'a', image: 'b:1' }] },
  });
  assert.equal(hub.spec?.initContainers, undefined);
});

test('a status that the creator sends is dropped', () => {
  const { hub } = written<Pod>({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', namespace: 'b' },
    spec: { containers: [{ name: 'a', image: 'b:1' }] },
    status: { phase: 'Running', podIP: '1.2.3.4' },
  });
  assert.deepEqual(hub.status, { phase: 'Pending', qosClass: 'BestEffort' });
});

test('quality of service follows from requests and limits', () => {
  covers('POD-155', 'POD-156', 'POD-157', 'POD-233', 'POD-313');
  const qos = (...all: ResourceRequirements[]) =>
    qosClassOf({
      containers: all.map((resources, i) => ({ name: `c${i}`, resources })),
    } as PodSpec);
  const both = { cpu: '1', memory: '1Gi' };
  assert.equal(qos({ limits: both, requests: both }), 'Guaranteed');
  assert.equal(qos({ limits: { cpu: '1000m', memory: '1024Mi' }, requests: both }), 'Guaranteed');
  assert.equal(qos({ limits: both }), 'Guaranteed');
  assert.equal(qos({ limits: both, requests: { cpu: '500m', memory: '1Gi' } }), 'Burstable');
  assert.equal(qos({ requests: { cpu: '1' } }), 'Burstable');
  assert.equal(qos({ limits: { cpu: '1' } }), 'Burstable');
  assert.equal(qos({ limits: both, requests: both }, {}), 'Burstable');
  assert.equal(qos({}), 'BestEffort');
  assert.equal(qos({ requests: { 'example.com/dongle': '1' } }), 'BestEffort');
  assert.equal(qos({ requests: { cpu: '0' } }), 'BestEffort');
});

test('creationTimestamp null is neither kept nor printed', () => {
  const { hub } = written<Pod>({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', namespace: 'b', creationTimestamp: null },
    spec: { containers: [{ name: 'a', image: 'b:1' }] },
  });
  assert.ok(!('creationTimestamp' in hub.metadata));
});

test('a pod’s time to end is never negative; a template keeps what it says', () => {
  const spec = { containers: [], terminationGracePeriodSeconds: -5 };
  assert.equal(pod(spec).spec?.terminationGracePeriodSeconds, 1);
  assert.equal(
    pod({ ...spec, terminationGracePeriodSeconds: 0 }).spec?.terminationGracePeriodSeconds,
    0,
  );
  assert.equal(setPodTemplateDefaults({ spec }).spec?.terminationGracePeriodSeconds, -5);
});
