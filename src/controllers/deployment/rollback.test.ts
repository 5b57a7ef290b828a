/** What becomes of an old client's wish to go back, as a table. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import { planRollback } from './rollback.ts';

const wishKey = 'deprecated.deployment.rollback.to';
const revisionKey = 'deployment.kubernetes.io/revision';
const template = (image: string) => ({ spec: { containers: [{ name: 'web', image }] } });

function set(revision: string, image: string): ReplicaSet {
  const labels = { 'pod-template-hash': image };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: image, annotations: { [revisionKey]: revision, cause: image } },
    spec: { selector: {}, template: { metadata: { labels }, ...template(image) } },
  };
}

function deployment(wish?: string): Deployment {
  const annotations = {
    cause: 'c',
    [revisionKey]: '3',
    ...(wish === undefined ? {} : { [wishKey]: wish }),
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', annotations },
    spec: { replicas: 4, selector: {}, template: template('c') },
  };
}

const sets = [set('1', 'a'), set('2', 'b'), set('3', 'c')];

test('what is wished, and what comes of it', () => {
  const cases: readonly (readonly [wish: string, reason: string, image: string])[] = [
    ['1', 'DeploymentRollback', 'a'],
    ['0', 'DeploymentRollback', 'b'],
    ['3', 'DeploymentRollbackTemplateUnchanged', 'c'],
    ['7', 'DeploymentRollbackRevisionNotFound', 'c'],
    ['-1', 'DeploymentRollbackRevisionNotFound', 'c'],
  ];
  for (const [wish, reason, image] of cases) {
    const { deployment: next, note } = planRollback(deployment(wish), sets) ?? assert.fail(wish);
    assert.equal(note.reason, reason, wish);
    assert.equal(next.spec?.template?.spec?.containers[0]?.image, image, wish);
    assert.equal(next.metadata.annotations?.[wishKey], undefined, 'the wish is taken back');
    assert.equal(next.metadata.annotations?.['cause'], image, 'annotations come along');
    assert.equal(next.metadata.annotations?.[revisionKey], '3', 'but those that are kept back');
    assert.equal(next.spec?.replicas, 4);
    assert.equal(next.spec?.template?.metadata?.labels?.['pod-template-hash'], undefined);
  }
  assert.equal(planRollback(deployment(), sets), undefined);
  assert.equal(planRollback(deployment('soon'), sets), undefined, 'no number, no wish');
  const alone = planRollback(deployment('0'), [set('3', 'c')]);
  assert.equal(alone?.note.message, 'Unable to find last revision.');
});
