/**
 * The FlowSchemas and PriorityLevelConfigurations that every cluster has, in upstream's words:
 * `flow-control.json`, one a line. Two of each are mandatory and always as they are here, but for
 * the shares of the exempt level; the others are suggestions, which stay as somebody changed them.
 *
 * Requests are not queued by them yet. What a FlowSchema says of its level (`Dangling`) is told of
 * everybody's. `defaults.ts` writes what the plans give.
 */
import { readFileSync } from 'node:fs';
import type { KubeObject } from '#api/object.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type {
  FlowSchema,
  FlowSchemaCondition,
  PriorityLevelConfigurationSpec,
} from '#resources/types/flowcontrol-v1.ts';

export type FlowPlural = 'prioritylevelconfigurations' | 'flowschemas';

export interface FlowDefault {
  readonly plural: FlowPlural;
  readonly object: KubeObject;
}

const autoUpdate = 'apf.kubernetes.io/autoupdate-spec';
const mandatory: ReadonlySet<string> = new Set(['exempt', 'catch-all']);

interface Line {
  readonly name: string;
  readonly spec: object;
}

/** Levels before the schemas that name them. */
export function flowDefaults(): readonly FlowDefault[] {
  const text = readFileSync(new URL('flow-control.json', import.meta.url), 'utf8');
  // Written by hand and proven by a test.
  const table = JSON.parse(text) as Readonly<Record<'priorityLevels' | 'flowSchemas', Line[]>>;
  return [
    ...table.priorityLevels.map((line): FlowDefault => {
      const object = flowObject('PriorityLevelConfiguration', line);
      return { plural: 'prioritylevelconfigurations', object };
    }),
    ...table.flowSchemas.map((line): FlowDefault => {
      return { plural: 'flowschemas', object: flowObject('FlowSchema', line) };
    }),
  ];
}

function flowObject(kind: string, { name, spec }: Line): KubeObject {
  const metadata = { name, annotations: { [autoUpdate]: 'true' } };
  return { kind, apiVersion: 'flowcontrol.apiserver.k8s.io/v1', metadata, spec };
}

/** The object as it shall be, or undefined where it is so. */
export function planFlow(stored: KubeObject, wanted: KubeObject): KubeObject | undefined {
  const { annotations = {}, name = '', generation } = stored.metadata;
  const given = annotations[autoUpdate];
  const says = given === 'true' || given === 'false' ? given === 'true' : undefined;
  // Where nobody says so, a spec that was never changed is ours.
  const isOurs = mandatory.has(name) || (says ?? generation === 1);
  const next = {
    ...stored,
    metadata: {
      ...stored.metadata,
      annotations: says === isOurs ? annotations : { ...annotations, [autoUpdate]: `${isOurs}` },
    },
    ...(isOurs ? { spec: specOf(stored, wanted) } : {}),
  };
  return jsonEqual(next, stored) ? undefined : next;
}

/** As wanted; the shares of the exempt level are anybody's choice as long as all else is right. */
function specOf(stored: KubeObject, wanted: KubeObject): unknown {
  if (wanted.kind !== 'PriorityLevelConfiguration' || wanted.metadata.name !== 'exempt') {
    return wanted.spec;
  }
  // Both are of this kind.
  const [is, shall] = [stored.spec, wanted.spec] as PriorityLevelConfigurationSpec[];
  const { nominalConcurrencyShares, lendablePercent } = is?.exempt ?? {};
  const chosen = { ...shall, exempt: { nominalConcurrencyShares, lendablePercent } };
  return jsonEqual(chosen, is) ? is : shall;
}

/** What is ours by its annotation, and no version of ours knows. */
export function isForgotten(stored: KubeObject, names: ReadonlySet<string>): boolean {
  const { annotations = {}, name = '' } = stored.metadata;
  return annotations[autoUpdate] === 'true' && !names.has(name);
}

/** The conditions of a schema whose level is there, or not; undefined where they say so. */
export function planDangling(
  schema: FlowSchema,
  { exists, now }: { readonly exists: boolean; readonly now: string },
): readonly FlowSchemaCondition[] | undefined {
  const conditions = schema.status?.conditions ?? [];
  const level = JSON.stringify(schema.spec?.priorityLevelConfiguration.name ?? '');
  const subject = `This FlowSchema references the PriorityLevelConfiguration object named ${level}`;
  const told = {
    type: 'Dangling',
    status: exists ? 'False' : 'True',
    reason: exists ? 'Found' : 'NotFound',
    message: `${subject} ${exists ? 'and it exists' : 'but there is no such object'}`,
  };
  const old = conditions.find(({ type }) => type === told.type);
  const { lastTransitionTime: _time, ...before } = old ?? {};
  if (jsonEqual(before, told)) return undefined;
  const others = conditions.filter(({ type }) => type !== told.type);
  return [...others, { ...told, lastTransitionTime: now }];
}
