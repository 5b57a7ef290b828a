/** The decisions of one pod's worker, as a table of situations. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container, Pod, PodSpec, ResourceRequirements } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { type Action, containerHash, planPod, restartKey } from './plan.ts';
import type { ContainerFact, PodFacts, SandboxFact } from './pod-facts.ts';

const nowMs = 1_000_000;
const web: Container = { name: 'web', image: 'nginx:1' };

function podOf(spec: Partial<PodSpec> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', uid: 'u1' },
    spec: { containers: [web], restartPolicy: 'Always', ...spec },
  };
}

const sandbox: SandboxFact = {
  ...{ id: 's1', attempt: 0, ready: true, createdAtMs: 1, ips: ['10.0.0.1'] },
};

function fact(name: string, more: Partial<ContainerFact> = {}): ContainerFact {
  const container = { name, image: 'nginx:1' };
  return {
    ...{ id: `${name}-0`, sandboxId: 's1', name, attempt: 0, state: 'running', createdAtMs: 2 },
    ...{ startedAtMs: 3, finishedAtMs: 0, exitCode: 0, reason: '', message: '' },
    ...{ image: 'nginx:1', imageRef: 'sha256:1', hash: containerHash(container) },
    ...more,
  };
}

function exited(name: string, exitCode: number, more: Partial<ContainerFact> = {}): ContainerFact {
  return fact(name, { state: 'exited', exitCode, finishedAtMs: nowMs - 1000, ...more });
}

function facts(given: {
  readonly pod?: Pod;
  readonly sandboxes?: readonly SandboxFact[];
  readonly containers?: readonly ContainerFact[];
  readonly more?: Partial<PodFacts>;
}): PodFacts {
  return {
    pod: given.pod ?? podOf(),
    runtime: { sandboxes: given.sandboxes ?? [sandbox], containers: given.containers ?? [] },
    verdicts: new Map(),
    backoffs: new Map(),
    failures: new Map(),
    applied: new Map(),
    ...given.more,
  };
}

/** `startContainer web#1`, `stopContainer web 30s`, … */
function say(action: Action): string {
  switch (action.do) {
    case 'startContainer':
      return `start ${action.container.name}#${action.attempt}`;
    case 'stopContainer':
      return `stop ${action.container.name} ${action.graceSeconds}s`;
    case 'createSandbox':
      return `sandbox#${action.attempt}`;
    case 'wait':
      return `wait ${action.untilMs - nowMs}`;
    case 'resize':
      return `resize${action.whole ? ' pod' : ''} ${action.containers.map(({ container, restarts }) => `${container.id}${restarts ? ' anew' : ''}`).join(' ')}`;
    default:
      return `${action.do} ${action.id}`;
  }
}

function plan(given: Parameters<typeof facts>[0]): readonly string[] {
  return planPod(facts(given), nowMs).actions.map(say);
}

test('a new pod gets a sandbox, then its containers in order', () => {
  const two = podOf({ containers: [web, { name: 'log', image: 'nginx:1' }] });
  assert.deepEqual(plan({ pod: two, sandboxes: [] }), ['sandbox#0']);
  assert.deepEqual(plan({ pod: two }), ['start web#0', 'start log#0']);
  assert.deepEqual(plan({ pod: two, containers: [fact('web')] }), ['start log#0']);
  assert.deepEqual(plan({ pod: two, containers: [fact('web'), fact('log')] }), []);
});

test('a sandbox that is lost takes its containers with it and comes back', () => {
  covers('POD-117');
  const lost = { ...sandbox, ready: false };
  assert.deepEqual(plan({ sandboxes: [lost], containers: [fact('web')] }), [
    'stop web 0s',
    'sandbox#1',
  ]);
  const init = [{ name: 'prepare', image: 'nginx:1' }];
  const renewed = { ...sandbox, id: 's2', attempt: 1, createdAtMs: 9 };
  const before = [exited('web', 137), exited('prepare', 0)];
  assert.deepEqual(
    plan({ pod: podOf({ initContainers: init }), sandboxes: [renewed, lost], containers: before }),
    ['start prepare#1'],
  );
});

test('init containers run one after the other, and containers wait for them', () => {
  covers('POD-027');
  const initContainers = ['a', 'b'].map((name) => ({ name, image: 'nginx:1' }));
  const pod = podOf({ initContainers });
  assert.deepEqual(plan({ pod }), ['start a#0']);
  assert.deepEqual(plan({ pod, containers: [fact('a')] }), []);
  assert.deepEqual(plan({ pod, containers: [exited('a', 0)] }), ['start b#0']);
  assert.deepEqual(plan({ pod, containers: [exited('a', 1)] }), ['start a#1']);
  assert.deepEqual(plan({ pod, containers: [exited('b', 0), exited('a', 0)] }), ['start web#0']);
  assert.deepEqual(plan({ pod, containers: [fact('web')] }), [], 'old init containers may be gone');
  const never = podOf({ initContainers, restartPolicy: 'Never' });
  assert.deepEqual(plan({ pod: never, containers: [exited('a', 1)] }), ['stopSandbox s1']);
});

test('a sidecar must have started before what follows, and starts again by itself', () => {
  const initContainers = [{ name: 'proxy', image: 'nginx:1', restartPolicy: 'Always' }];
  const pod = podOf({ initContainers, restartPolicy: 'Never' });
  const containers = [fact('proxy')];
  assert.deepEqual(plan({ pod, containers }), []);
  const verdicts = new Map([['proxy-0', { started: true, ready: true }]]);
  assert.deepEqual(plan({ pod, containers, more: { verdicts } }), ['start web#0']);
  const later = [fact('web'), exited('proxy', 1)];
  assert.deepEqual(plan({ pod, containers: later }), ['start proxy#1']);
  const over = [exited('web', 0), fact('proxy')];
  assert.deepEqual(plan({ pod, containers: over }), ['stop proxy 30s'], 'it does not keep the pod');
});

test('the restart policy decides what happens after an end', () => {
  const after = (restartPolicy: string, exitCode: number) =>
    plan({ pod: podOf({ restartPolicy }), containers: [exited('web', exitCode)] });
  assert.deepEqual(after('Always', 0), ['start web#1']);
  assert.deepEqual(after('Always', 1), ['start web#1']);
  assert.deepEqual(after('OnFailure', 1), ['start web#1']);
  assert.deepEqual(after('OnFailure', 0), ['stopSandbox s1']);
  assert.deepEqual(after('Never', 1), ['stopSandbox s1']);
});

test('a container may have a policy and rules of its own', () => {
  const after = (exitCode: number, more: Partial<Container>) => {
    const pod = podOf({ restartPolicy: 'Never', containers: [{ ...web, ...more }] });
    return plan({ pod, containers: [exited('web', exitCode)] });
  };
  const again = ['start web#1'];
  const over = ['stopSandbox s1'];
  assert.deepEqual(after(1, { restartPolicy: 'OnFailure' }), again);
  assert.deepEqual(after(0, { restartPolicy: 'OnFailure' }), over);
  const rule = (operator: string, values: readonly number[]): Partial<Container> => ({
    restartPolicy: 'Never',
    restartPolicyRules: [{ action: 'Restart', exitCodes: { operator, values } }],
  });
  assert.deepEqual(after(42, rule('In', [42])), again);
  assert.deepEqual(after(1, rule('In', [42])), over);
  assert.deepEqual(after(1, rule('NotIn', [42])), again);
});

test('restarts wait for their back-off and say so', () => {
  const backoff = { delayMs: 10_000, raisedAtMs: nowMs - 5000, maxMs: 300_000 };
  const backoffs = new Map([[restartKey(web), backoff]]);
  const given = facts({ containers: [exited('web', 1, { attempt: 2 })], more: { backoffs } });
  const { actions, waiting } = planPod(given, nowMs);
  assert.deepEqual(actions.map(say), ['wait 9000']);
  assert.deepEqual(waiting.get('web'), {
    reason: 'CrashLoopBackOff',
    message: 'back-off 10s restarting failed container=web pod=p_default(u1)',
  });
  const later = planPod(given, nowMs + 9001).actions.map(say);
  assert.deepEqual(later, ['start web#3']);
  const pod = podOf({ containers: [{ ...web, image: 'nginx:2' }] });
  const changed = planPod({ ...given, pod }, nowMs).actions.map(say);
  assert.deepEqual(changed, ['start web#3'], 'another image does not wait for what the first did');
});

test('an image that cannot be had is waited for', () => {
  const waiting = { reason: 'ErrImagePull', message: 'not found' };
  const hash = containerHash(web);
  const failures = new Map([['web', { hash, waiting, untilMs: nowMs + 500 }]]);
  const planned = planPod(facts({ more: { failures } }), nowMs);
  assert.deepEqual(planned.actions.map(say), ['wait 500']);
  assert.deepEqual(planned.waiting.get('web'), {
    reason: 'ImagePullBackOff',
    message: 'Back-off pulling image "nginx:1": ErrImagePull: not found',
  });
  const pod = podOf({ containers: [{ ...web, image: 'nginx:2' }] });
  const changed = planPod(facts({ pod, more: { failures } }), nowMs);
  assert.deepEqual(changed.actions.map(say), ['start web#0'], 'another image is tried at once');
});

test('a condemned or changed container is stopped, with the grace it is due', () => {
  const unhealthy = { message: 'Container web failed liveness probe', graceSeconds: 5 };
  const verdicts = new Map([['web-0', { started: true, ready: false, unhealthy }]]);
  const containers = [fact('web')];
  assert.deepEqual(plan({ containers, more: { verdicts } }), ['stop web 5s']);
  const changed = podOf({ containers: [{ name: 'web', image: 'nginx:2' }] });
  assert.deepEqual(plan({ pod: changed, containers }), ['stop web 30s']);
});

test('ending stops containers, then sidecars from the last, then the sandbox', () => {
  const sidecars = ['one', 'two'].map((name) => ({ name, restartPolicy: 'Always' }));
  const pod = podOf({ initContainers: sidecars });
  const more = { ending: { graceSeconds: 7 } };
  const all = [fact('web'), fact('two'), fact('one')];
  assert.deepEqual(plan({ pod, containers: all, more }), ['stop web 7s']);
  const [, ...rest] = all;
  assert.deepEqual(plan({ pod, containers: [exited('web', 0), ...rest], more }), ['stop two 7s']);
  assert.deepEqual(plan({ pod, containers: [fact('one')], more }), ['stop one 7s']);
  assert.deepEqual(plan({ pod, containers: [exited('one', 0)], more }), ['stopSandbox s1']);
  const ended = planPod(facts({ pod, sandboxes: [{ ...sandbox, ready: false }], more }), nowMs);
  assert.deepEqual([ended.actions, ended.ended], [[], true]);
});

test('an old sandbox goes when the last of its containers is gone', () => {
  const old = { ...sandbox, id: 's0', ready: false };
  const running = fact('web');
  const dead = exited('web', 1, { id: 'old', sandboxId: 's0', createdAtMs: 1 });
  const of = (containers: readonly ContainerFact[]) =>
    planPod(facts({ sandboxes: [sandbox, old], containers }), nowMs).actions;
  assert.deepEqual(of([running, dead]), []);
  assert.deepEqual(of([running]), [{ do: 'removeSandbox', id: 's0' }]);
});

test('a restart count survives the loss of the runtime’s containers', () => {
  const status = {
    containerStatuses: [
      { name: 'web', image: '', imageID: '', ready: true, restartCount: 4, containerID: 'x://1' },
    ] as const,
  };
  assert.deepEqual(plan({ pod: { ...podOf(), status } }), ['start web#5']);
  const [{ containerID: _, ...counted }] = status.containerStatuses;
  const told = { containerStatuses: [counted] };
  assert.deepEqual(plan({ pod: { ...podOf(), status: told } }), ['start web#4']);
});

test('what is over stays over, also when the runtime has forgotten it', () => {
  for (const phase of ['Succeeded', 'Failed']) {
    const pod = { ...podOf(), status: { phase } };
    const { actions, ended } = planPod(facts({ pod, sandboxes: [] }), nowMs);
    assert.deepEqual([actions, ended], [[], true]);
  }
  const ran = { name: 'web', image: '', imageID: '', ready: true, restartCount: 0 };
  const status = { phase: 'Running', containerStatuses: [{ ...ran, containerID: 'x://1' }] };
  const never = { ...podOf({ restartPolicy: 'Never' }), status };
  assert.equal(planPod(facts({ pod: never, sandboxes: [] }), nowMs).ended, true);
});

test('a container that was made but never started is made again', () => {
  const created = fact('web', { state: 'created', attempt: 3 });
  assert.deepEqual(plan({ containers: [created] }), ['removeContainer web-0', 'start web#3']);
});

test('one of which the runtime has lost all knowledge is ended, then another begins', () => {
  const lost = (name: string): ContainerFact =>
    fact(name, { state: 'unknown', attempt: 2, exitCode: 255, createdAtMs: 0, startedAtMs: 0 });
  const again = ['stop web 30s', 'start web#3'];
  const of = (pod: Pod, name = 'web') => plan({ pod, containers: [lost(name)] });
  assert.deepEqual(of(podOf()), again);
  const never = podOf({ restartPolicy: 'Never' });
  assert.deepEqual(of(never), again, 'it has not run yet');
  const ran = (pod: Pod): Pod => {
    const state = { running: { startedAt: '2026-01-01T00:00:00Z' } };
    const told = { name: 'web', image: '', imageID: '', ready: true, restartCount: 2, state };
    return {
      ...pod,
      status: { containerStatuses: [{ ...told, containerID: 'containerd://web-0' }] },
    };
  };
  assert.deepEqual(of(ran(podOf())), again);
  assert.deepEqual(of(ran(never)), ['stop web 30s'], 'what may not run twice does not');
  const initContainers = [{ name: 'init', image: 'nginx:1' }];
  assert.deepEqual(of(podOf({ initContainers }), 'init'), ['stop init 30s', 'start init#3']);
  const once = podOf({ initContainers, restartPolicy: 'Never' });
  assert.deepEqual(of(once, 'init'), ['stop init 30s']);
  const [stop] = planPod(facts({ containers: [lost('web')] }), nowMs).actions;
  assert.ok(stop?.do === 'stopContainer');
  const text = 'Container is in "unknown" state, try killing it before restart';
  assert.equal(stop.message, text);
  const [init] = planPod(facts({ pod: once, containers: [lost('init')] }), nowMs).actions;
  assert.ok(init?.do === 'stopContainer');
  assert.equal(init.message, `Init c${text.slice(1)}`);
  const waiting = { reason: 'CreateContainerError', message: 'read ECONNRESET' };
  const held = { hash: containerHash(web), waiting, untilMs: nowMs + 500 };
  const failures = new Map([['web', held]]);
  assert.deepEqual(plan({ containers: [lost('web')], more: { failures } }), ['wait 500']);
});

test('an ephemeral container starts beside the others, and only once', () => {
  const pod = podOf({
    initContainers: [{ name: 'init', image: 'nginx:1' }],
    ephemeralContainers: [{ name: 'debug', image: 'nginx:1' }],
  });
  const begun = [exited('init', 0), fact('web')];
  assert.deepEqual(planPod(facts({ pod }), nowMs).actions.map(say), [
    'start debug#0',
    'start init#0',
  ]);
  const added = planPod(facts({ pod, containers: begun }), nowMs);
  assert.deepEqual(added.actions.map(say), ['start debug#0']);
  const ended = planPod(facts({ pod, containers: [...begun, exited('debug', 1)] }), nowMs);
  assert.deepEqual(ended.actions, []);
  const lost = {
    ...pod,
    status: {
      ephemeralContainerStatuses: [
        {
          ...{ name: 'debug', image: 'nginx:1', imageID: '', ready: false, restartCount: 0 },
          containerID: 'containerd://gone',
        },
      ],
    },
  };
  assert.deepEqual(planPod(facts({ pod: lost, containers: begun }), nowMs).actions, []);
  const stopped = planPod(
    facts({ pod, containers: [...begun, fact('debug')], more: { ending: { graceSeconds: 5 } } }),
    nowMs,
  );
  assert.deepEqual(stopped.actions.map(say), ['stop web 5s', 'stop debug 5s']);
});

test('other resources are applied in place, or by a restart where the policy says so', () => {
  const has = { requests: { cpu: '1', memory: '1Gi' } };
  const wants = { requests: { cpu: '2', memory: '1Gi' } };
  const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }];
  const pod = podOf({ containers: [{ ...web, resources: wants, resizePolicy }] });
  const containers = [fact('web')];
  const applied = (resources: object) => ({ applied: new Map([['web', resources]]) });
  assert.deepEqual(plan({ pod, containers, more: applied(has) }), ['resize web-0']);
  assert.deepEqual(plan({ pod, containers, more: applied(wants) }), []);
  assert.deepEqual(plan({ pod, containers }), []);
  const more = { requests: { cpu: '2', memory: '512Mi' } };
  assert.deepEqual(plan({ pod, containers, more: applied(more) }), ['resize web-0 anew']);
  const resizeFailure = { reason: 'Error', message: 'no', untilMs: nowMs + 5000 } as const;
  const refused = { ...applied(has), resizeFailure };
  assert.deepEqual(plan({ pod, containers, more: refused }), ['wait 5000']);
  const older = { ...resizeFailure, generation: 1 };
  const newer = { ...pod, metadata: { ...pod.metadata, generation: 2 } };
  const other = plan({ pod: newer, containers, more: { ...applied(has), resizeFailure: older } });
  assert.deepEqual(other, ['resize web-0'], 'another wish is tried at once');
  // What the node cannot give ends nobody.
  const held = { ...applied(more), resizeFailure };
  assert.deepEqual(plan({ pod, containers, more: held }), ['wait 5000']);
});

test('a pod that is resized as a whole takes along who has no limits of its own', () => {
  const whole = (cpu: string) => ({ requests: { cpu }, limits: { cpu } });
  const log = { ...web, name: 'log', resources: whole('1') };
  const containers = [fact('web'), fact('log', { hash: containerHash(log) })];
  const under = (cpu: string, resizePolicy?: Container['resizePolicy']) => {
    const pod = podOf({ containers: [{ ...web, resizePolicy }, log], resources: whole('2') });
    const applied = new Map<string, ResourceRequirements>([
      ['', whole(cpu)],
      ['web', {}],
      ['log', whole('1')],
    ]);
    return plan({ pod, containers, more: { applied } });
  };
  assert.deepEqual(under('2'), []);
  assert.deepEqual(under('3'), ['resize pod web-0']);
  const anew = [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }];
  assert.deepEqual(under('3', anew), ['resize pod web-0 anew']);
  const pod = podOf({ resources: { requests: { cpu: '2' } } });
  const applied = new Map([['', { requests: { cpu: '1' } }]]);
  const resizeFailure = { reason: 'Deferred', message: 'no', untilMs: nowMs + 5000 } as const;
  assert.deepEqual(plan({ pod, containers: [fact('web')], more: { applied } }), ['resize pod ']);
  assert.deepEqual(plan({ pod, containers: [fact('web')], more: { applied, resizeFailure } }), [
    'wait 5000',
  ]);
});
