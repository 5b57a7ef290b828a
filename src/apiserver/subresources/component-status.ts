/**
 * `componentstatuses`: asks each part of the control plane at the moment of the request. The store
 * is always one of them; which others there are, the wiring of the cluster says.
 */
import { notFound } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { ComponentStatus } from '#resources/types/core-v1.ts';
import { includeObjectOf, partialList, table, tableRow } from '../output/table.ts';
import type { Parts } from '../parts.ts';
import type { Answer, Call } from '../request.ts';

/** A part of the control plane that can be asked how it is. */
export interface Component {
  readonly name: string;
  /** What is wrong with it; undefined when nothing is. */
  readonly problem: () => string | undefined;
}

export async function getComponentStatus(parts: Parts, call: Call): Promise<Answer> {
  const { served, info } = call;
  const found = componentsOf(parts).find(({ name }) => name === info.name);
  if (found === undefined) throw notFound({ group: '', resource: 'componentstatus' }, info.name);
  return { type: 'hub', status: 200, served, hub: statusOf(found) };
}

export async function listComponentStatus(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, output } = call;
  const asked = info.query.get('labelSelector') ?? '';
  const wanted = info.query.get('fieldSelector') ?? '';
  const items = componentsOf(parts)
    // They have no labels, so that a selector of labels chooses none.
    .filter(() => asked === '')
    .filter(({ name }) => wanted === '' || wanted === `metadata.name=${name}`)
    .map(statusOf);
  if (output.form === 'table') {
    const options = { includeObject: includeObjectOf(info.query), nowMs: parts.clock.now() };
    const rows = items.map((item) => tableRow(served, item, options));
    return { type: 'value', status: 200, value: table(served, rows, {}) };
  }
  const value =
    output.form === 'partial'
      ? partialList(items, {})
      : { kind: 'ComponentStatusList', apiVersion: 'v1', metadata: {}, items: items.map(bare) };
  return { type: 'value', status: 200, value };
}

function componentsOf({ store, options }: Parts): readonly Component[] {
  const problem = (): string | undefined =>
    store.health.ok ? undefined : 'the store cannot write at the moment';
  return [...(options.components ?? []), { name: 'etcd-0', problem }];
}

function statusOf({ name, problem }: Component): KubeObject {
  const found = problem();
  const condition =
    found === undefined
      ? { type: 'Healthy', status: 'True', message: 'ok' }
      : { type: 'Healthy', status: 'False', message: found };
  const status: ComponentStatus = {
    kind: 'ComponentStatus',
    apiVersion: 'v1',
    metadata: { name },
    conditions: [condition],
  };
  return status;
}

/** Items of a list leave out what the list has said. */
function bare({ kind: _kind, apiVersion: _version, ...item }: KubeObject): object {
  return item;
}
