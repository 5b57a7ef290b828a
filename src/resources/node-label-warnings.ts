/**
 * Labels of nodes that have newer names. Whoever selects by an old one is told so in a warning of
 * the server; nothing is refused.
 */
import { labelValueProblems } from '#api/names.ts';
import type { NodeSelectorTerm } from './types/core-v1.ts';

const renamed = (since: string, use: string): string =>
  `deprecated since ${since}; use "${use}" instead`;

const messages: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': renamed('v1.14', 'kubernetes.io/arch'),
  'beta.kubernetes.io/os': renamed('v1.14', 'kubernetes.io/os'),
  'failure-domain.beta.kubernetes.io/region': renamed('v1.17', 'topology.kubernetes.io/region'),
  'failure-domain.beta.kubernetes.io/zone': renamed('v1.17', 'topology.kubernetes.io/zone'),
  'beta.kubernetes.io/instance-type': renamed('v1.17', 'node.kubernetes.io/instance-type'),
  'app.kubernetes.io/created-by': 'deprecated since v1.9',
  'scheduler.alpha.kubernetes.io/preferAvoidPods':
    'deprecated since v1.22; use Taints and Tolerations instead',
  'node-role.kubernetes.io/master': 'use "node-role.kubernetes.io/control-plane" instead',
};

/** What is wrong with selecting by this label; undefined when nothing is. */
export function oldLabelMessage(key: string): string | undefined {
  return messages[key];
}

export function termWarnings(
  { matchExpressions = [] }: NodeSelectorTerm,
  field: string,
  { checksValues }: { readonly checksValues: boolean },
): string[] {
  return matchExpressions.flatMap(({ key, values = [] }, index) => {
    const at = `${field}.matchExpressions[${index}]`;
    const message = oldLabelMessage(key);
    const problems = checksValues
      ? values.flatMap((value, valueIndex) =>
          labelValueProblems(value).map(
            (problem) => `${at}.values[${valueIndex}]: ${value} is invalid, ${problem}`,
          ),
        )
      : [];
    return [...(message === undefined ? [] : [`${at}.key: ${key} is ${message}`]), ...problems];
  });
}
