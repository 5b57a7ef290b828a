/**
 * Node selectors: terms are alternatives, the requirements inside one term must all hold.
 *
 * A term without any requirement matches nothing. `matchFields` knows one field, `metadata.name`.
 * Used by the node-affinity rule; anything else that selects nodes matches through here too.
 *
 * Behaviour: kubernetes.io, "Assigning Pods to Nodes", node affinity.
 */
import type {
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  Pod,
} from '#resources/types/core-v1.ts';

export interface Selectable {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function matchesSelector(selector: NodeSelector, node: Selectable): boolean {
  return selector.nodeSelectorTerms.some((term) => matchesTerm(term, node));
}

/** What a pod demands of its nodes: `nodeSelector` and required affinity must both hold. */
export function matchesChoice({ spec }: Pod, node: Selectable): boolean {
  for (const [key, value] of Object.entries(spec?.nodeSelector ?? {})) {
    if (node.labels[key] !== value) return false;
  }
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || matchesSelector(required, node);
}

export function matchesTerm(term: NodeSelectorTerm, node: Selectable): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length + fields.length === 0) return false;
  return (
    expressions.every((requirement) =>
      matchesRequirement(requirement, node.labels[requirement.key]),
    ) &&
    fields.every((requirement) =>
      matchesRequirement(requirement, requirement.key === 'metadata.name' ? node.name : undefined),
    )
  );
}

export function matchesRequirement(
  requirement: NodeSelectorRequirement,
  value: string | undefined,
): boolean {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Lt': {
      const [left, right] = [wholeNumber(value), wholeNumber(values[0])];
      if (left === undefined || right === undefined || values.length !== 1) return false;
      return requirement.operator === 'Gt' ? left > right : left < right;
    }
    default:
      return false;
  }
}

function wholeNumber(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[+-]?\d{1,19}$/.test(text) ? BigInt(text) : undefined;
}
