/**
 * What `metadata.managedFields` costs when a Pod is created: finding the fields that its creator
 * owns, and encoding them, as a share of the whole create through the lifecycle on a store in
 * memory, without sockets. Goal: a quarter. `npm run bench -- ownership`.
 */
import { formatManagedFields, ownAfterUpdate } from '#api/field-ownership.ts';
import { compareFields } from '#api/field-structure.ts';
import type { KubeObject } from '#api/object.ts';
import { openApiServer } from '#apiserver';
import { present } from '#kit/assert.ts';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { openCatalog } from '#resources/resources.ts';
import { openMemoryStore } from '#store';
import { namespacePath, objectOf } from './api/objects.ts';
import { serverOptions } from './api/server.ts';

const clock = systemClock();
const { signal } = new AbortController();
const namespace = 'default';
const shareGoal = 0.25;

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  const sizes = small ? { rounds: 2, repeat: 20 } : { rounds: 40, repeat: 1000 };
  await using store = openMemoryStore({ clock });
  const catalog = openCatalog();
  await using server = await openApiServer(
    { store, catalog, clock, random: systemRandom(), log: silentLog },
    serverOptions(6443),
  );
  const transport = server.direct({ name: 'admin', groups: ['system:masters'] });
  const post = async (path: string, text: string): Promise<Buffer> => {
    const headers = { 'content-type': 'application/json' };
    const request = { method: 'POST', path, headers, body: Buffer.from(text) };
    const { status, body } = await transport.send(request, { signal });
    const answer = Buffer.from(present(body instanceof Uint8Array ? body : undefined, path));
    if (status !== 201) throw new Error(`${path}: ${status} ${answer}`);
    return answer;
  };
  const account = JSON.stringify({ metadata: { name: 'default' } });
  await post(`/api/v1/namespaces/${namespace}/serviceaccounts`, account);
  let next = 0;
  const create = () => post(namespacePath(namespace, 'pods'), objectOf('pods', `p${next++}`));
  // What the server answers is what it stored.
  const pod = JSON.parse((await create()).toString()) as KubeObject;
  const createUs = await leastUs(sizes, create);
  const { metadata, ...rest } = pod;
  const { managedFields: _owners, ...bare } = metadata;
  const said = { ...rest, metadata: bare };
  const { view } = present(catalog.findPlural({ group: '', version: 'v1' }, 'pods'), 'pods');
  const writer = { manager: 'bench', operation: 'Update', apiVersion: 'v1', subresource: '' };
  const ownedUs = await leastUs(sizes, () => {
    const owners = ownAfterUpdate([], {
      writer: { ...writer, operation: 'Update' },
      now: '2026-01-01T00:00:00Z',
      changesIn: () => compareFields({}, said, view.schema, catalog),
    });
    return JSON.stringify(formatManagedFields(owners));
  });
  const share = ownedUs / createUs;
  console.log(
    `create Pod: ${createUs.toFixed(1)} us, of which managed fields ${ownedUs.toFixed(1)} us: ` +
      `${(share * 100).toFixed(0)} %`,
  );
  if (!small && share > shareGoal) throw new Error(`the goal is ${shareGoal * 100} %`);
}

/** Processor time of one, in the best round: others on the machine only ever add to it. */
async function leastUs(
  { rounds, repeat }: { readonly rounds: number; readonly repeat: number },
  work: () => unknown,
): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < repeat; i++) await work();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / repeat);
  }
  return least;
}
