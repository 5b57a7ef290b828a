/**
 * What `kubectl get` prints, for the walkthroughs of the documents: the server's own table, with
 * the columns that are always shown. Hashes and random ends of names are told by letters in the
 * order in which they come (`web-A-a`, `web-A-b`), ages are left out.
 */
import assert from 'node:assert/strict';
import type { World } from './control-world.ts';

const paths: Readonly<Record<string, string>> = {
  deployments: '/apis/apps/v1/namespaces/default/deployments',
  rs: '/apis/apps/v1/namespaces/default/replicasets',
  sts: '/apis/apps/v1/namespaces/default/statefulsets',
  ds: '/apis/apps/v1/namespaces/default/daemonsets',
  controllerrevisions: '/apis/apps/v1/namespaces/default/controllerrevisions',
  pods: '/api/v1/namespaces/default/pods',
  pvc: '/api/v1/namespaces/default/persistentvolumeclaims',
  jobs: '/apis/batch/v1/namespaces/default/jobs',
  cronjob: '/apis/batch/v1/namespaces/default/cronjobs',
  hpa: '/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers',
  pdb: '/apis/policy/v1/namespaces/default/poddisruptionbudgets',
};

interface Table {
  readonly columnDefinitions: readonly { readonly name: string; readonly priority: number }[];
  readonly rows?: readonly { readonly cells: readonly unknown[] }[];
}

/** One line for each object, without the heading; sorted by name. */
export async function printed(world: World, what: string): Promise<readonly string[]> {
  const { rows } = await tableOf(world, what);
  return rows;
}

export async function heading(world: World, what: string): Promise<string> {
  const { columns } = await tableOf(world, what);
  return columns.join(' ');
}

async function tableOf(world: World, what: string) {
  const path = paths[what];
  assert.ok(path !== undefined, `there is no path for ${what}`);
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
  const answer = await world.server.request('GET', path, undefined, { headers: { accept } });
  assert.equal(answer.status, 200, answer.text);
  const table: Table = answer.body;
  const shown = table.columnDefinitions
    .map(({ name, priority }, index) => ({ name, priority, index }))
    .filter(({ name, priority }) => priority === 0 && name !== 'Age');
  const rows = (table.rows ?? []).map(({ cells }) =>
    shown.map(({ index }) => String(cells[index])).join(' '),
  );
  return { columns: shown.map(({ name }) => name.toUpperCase()), rows: rows.toSorted() };
}
