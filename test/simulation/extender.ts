/**
 * A stand-in for a scheduler's extender: it answers a moment later, takes no node away, likes some
 * nodes more than others, lets victims be, and fails now and then. What the scheduler decides with
 * it has to keep to the same rules as what it decides alone.
 */
import type { Clock } from '#kit/clock.ts';
import type { Random } from '#kit/random.ts';
import type { SchedulerDeps, SchedulerOptions } from '#scheduler';

const answerMsMax = 50;
const failures = 0.02;

type Post = NonNullable<SchedulerDeps['post']>;
type ExtenderOptions = NonNullable<SchedulerOptions['extenders']>[number];

export const extender: ExtenderOptions = {
  urlPrefix: 'http://extender.example.com',
  filterVerb: 'filter',
  preemptVerb: 'preempt',
  prioritizeVerb: 'prioritize',
  bindVerb: '',
  weight: 1,
  timeoutMs: 5_000,
  nodeCacheCapable: true,
  managedResources: [],
  ignoredResources: [],
  ignorable: false,
  tls: {
    insecure: false,
    serverName: undefined,
    ca: undefined,
    cert: undefined,
    key: undefined,
  },
};

export function extenderPost(deps: { readonly clock: Clock; readonly random: Random }): Post {
  return async (_extender, verb, body, options) => {
    await deps.clock.sleep(deps.random.integer(answerMsMax), options);
    if (deps.random.fraction() < failures) throw new Error('the extender failed');
    // As the scheduler writes it: names of nodes, or victims by node.
    const { NodeNames = [], NodeNameToMetaVictims } = body as {
      readonly NodeNames?: readonly string[];
      readonly NodeNameToMetaVictims?: object;
    };
    if (verb === 'preempt') return { NodeNameToMetaVictims };
    if (verb === 'filter') return { NodeNames };
    return NodeNames.map((Host) => ({ Host, Score: deps.random.integer(11) }));
  };
}
