/** Plans of deployments whose facts are easier to write down than to bring about. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import { type Action, planDeployment, planFailedCreation } from './plan.ts';
import { compareRevision, currentAnnotations, highestRevision } from './revision.ts';
import { isSameTemplate, templateHash } from './template-hash.ts';

const nowMs = Date.UTC(2026, 0, 1);
const template = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'web', image: 'web:1' }] },
};

function deployment(spec: object = {}, status: object = {}): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: 'default', name: 'web', uid: 'd1', generation: 1 },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: 'web' } },
      template,
      progressDeadlineSeconds: 600,
      ...spec,
    },
    status,
  };
}

function plan(of: Deployment, replicaSets: readonly ReplicaSet[]): readonly Action[] {
  return planDeployment({ deployment: of, replicaSets, othersRun: () => false }, nowMs);
}

function created(actions: readonly Action[]): ReplicaSet {
  const [action] = actions;
  assert(action?.do === 'create');
  return action.replicaSet;
}

test('the first plan makes a set, then says so in revision and status', () => {
  const actions = plan(deployment(), []);
  assert.deepEqual(
    actions.map((action) => action.do),
    ['create', 'set-status', 'wait'],
  );
  const set = created(actions);
  const hash = templateHash(template);
  assert.equal(set.metadata.name, `web-${hash}`);
  assert.equal(set.spec?.replicas, 3);
  assert.deepEqual(set.spec?.selector.matchLabels, { app: 'web', 'pod-template-hash': hash });
  assert.deepEqual(set.metadata.annotations, {
    'deployment.kubernetes.io/revision': '1',
    'deployment.kubernetes.io/desired-replicas': '3',
    'deployment.kubernetes.io/max-replicas': '4',
  });
  const again = created(plan(deployment(), []));
  assert.deepEqual(again, set, 'the same facts give the same plan');
});

test('a plan that has been performed plans nothing more', () => {
  const set = created(plan(deployment(), []));
  const status = { replicas: 3, readyReplicas: 3, availableReplicas: 3, terminatingReplicas: 0 };
  const stored: ReplicaSet = { ...set, status };
  const first = plan(deployment(), [stored]);
  const written = first.find((action) => action.do === 'set-status');
  assert(written?.do === 'set-status');
  const revised: Deployment = {
    ...deployment({}, written.status),
    metadata: {
      ...deployment().metadata,
      annotations: { 'deployment.kubernetes.io/revision': '1' },
    },
  };
  assert.deepEqual(plan(revised, [stored]), []);
});

test('a taken name raises the collision count, and the next name differs', () => {
  const failure = { message: 'exists', isCollision: true };
  const status = planFailedCreation(deployment(), failure, nowMs);
  assert.equal(status.collisionCount, 1);
  assert.notEqual(
    created(plan(deployment({}, status), [])).metadata.name,
    created(plan(deployment(), [])).metadata.name,
  );
});

test('a set that cannot be made is told in Progressing', () => {
  const failure = { message: 'Failed to create: quota', isCollision: false };
  const { conditions } = planFailedCreation(deployment(), failure, nowMs);
  const [condition] = conditions ?? [];
  assert.deepEqual(
    [condition?.type, condition?.status, condition?.reason, condition?.message],
    ['Progressing', 'False', 'ReplicaSetCreateError', 'Failed to create: quota'],
  );
});

test('templates are the same whatever the order of keys, the hash label or empty maps', () => {
  const hashed = {
    spec: { containers: [{ image: 'web:1', name: 'web' }] },
    metadata: {
      creationTimestamp: null as never,
      labels: { 'pod-template-hash': 'x', app: 'web' },
    },
  };
  assert.ok(isSameTemplate(template, hashed));
  assert.ok(
    isSameTemplate(template, { ...hashed, metadata: { ...hashed.metadata, annotations: {} } }),
  );
  const other = { ...template, spec: { containers: [{ name: 'web', image: 'web:2' }] } };
  assert.ok(!isSameTemplate(template, other));
  const volumes = {
    ...template,
    spec: { ...template.spec, volumes: [{ name: 'v', emptyDir: {} }] },
  };
  const without = { ...template, spec: { ...template.spec, volumes: [{ name: 'v' }] } };
  assert.ok(!isSameTemplate(volumes, without), 'an empty object says something');
  assert.notEqual(templateHash(template), templateHash(other));
  assert.match(templateHash(template), /^[bcdfghjklmnpqrstvwxz2456789]{1,10}$/);
});

test('annotations of the deployment are passed on, but not its own book-keeping', () => {
  const { metadata, ...rest } = deployment();
  const of = {
    ...rest,
    metadata: {
      ...metadata,
      annotations: {
        'kubernetes.io/change-cause': 'why not',
        'kubectl.kubernetes.io/last-applied-configuration': '{}',
        'deployment.kubernetes.io/revision': '7',
      },
    },
  };
  assert.deepEqual(currentAnnotations(of, undefined, 7n), {
    'kubernetes.io/change-cause': 'why not',
    'deployment.kubernetes.io/revision': '8',
  });
});

test('a set that becomes current again gets a new revision and keeps its old ones', () => {
  const set = (annotations: Record<string, string>): ReplicaSet => ({
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'web-x', annotations },
  });
  const revision = 'deployment.kubernetes.io/revision';
  const history = 'deployment.kubernetes.io/revision-history';
  const once = currentAnnotations(deployment(), set({ [revision]: '1' }), 2n);
  assert.deepEqual(once, { [revision]: '3', [history]: '1' });
  const twice = currentAnnotations(deployment(), set(once), 4n);
  assert.deepEqual(twice, { [revision]: '5', [history]: '1,3' });
  assert.deepEqual(currentAnnotations(deployment(), set(once), 2n), once, 'the highest stays');
});

test('revisions are exact beyond what a number is, and at most 64 bits wide', () => {
  const old = (revision: string): ReplicaSet => ({
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'old', annotations: { 'deployment.kubernetes.io/revision': revision } },
  });
  const next = 3546343826724305833n;
  assert.equal(highestRevision([old('1'), old('3546343826724305832'), old('7')]) + 1n, next);
  assert.equal(highestRevision([old('9223372036854775808'), old('x')]), 0n);
  assert.equal(compareRevision(old('3546343826724305832'), old('3546343826724305833')), -1);
});

/** In the middle of a rollout to `template`, sized for eight, and past its deadline. */
function halfRolled(spec: object): readonly [Deployment, readonly ReplicaSet[]] {
  const times = {
    lastUpdateTime: '2025-01-01T00:00:00Z',
    lastTransitionTime: '2025-01-01T00:00:00Z',
  };
  const progressing = {
    type: 'Progressing',
    status: 'True',
    reason: 'ReplicaSetUpdated',
    ...times,
  };
  const of = deployment({ replicas: 8, ...spec }, { conditions: [progressing] });
  const current = created(plan(deployment({ replicas: 8 }), []));
  const containers = [{ name: 'web', image: 'web:0' }];
  const old = created(
    plan(deployment({ replicas: 8, template: { ...template, spec: { containers } } }), []),
  );
  const status = { replicas: 4, readyReplicas: 4, availableReplicas: 4 };
  const sized = (set: ReplicaSet): ReplicaSet => ({
    ...set,
    ...(set.spec === undefined ? {} : { spec: { ...set.spec, replicas: 4 } }),
    status,
  });
  return [of, [sized(old), sized(current)]];
}

test('a Recreate that was scaled in the middle of a rollout ends the old set', () => {
  const [of, sets] = halfRolled({ replicas: 5, strategy: { type: 'Recreate' } });
  const sizes = plan(of, sets).flatMap((action) =>
    action.do === 'update' ? [[action.from, action.replicaSet.spec?.replicas]] : [],
  );
  assert.deepEqual(
    sizes.filter(([from, to]) => from !== to),
    [[4, 0]],
  );
});

test('what has a deadline behind it and does not roll is not looked at again and again', () => {
  const [of, sets] = halfRolled({});
  const gone = { ...of, metadata: { ...of.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
  assert.ok(plan(gone, sets).every((action) => action.do !== 'wait'));
  const [scaled, others] = halfRolled({ replicas: 9 });
  assert.ok(plan(scaled, others).every((action) => action.do !== 'wait'));
});
