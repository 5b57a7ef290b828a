/**
 * Says of each ValidatingAdmissionPolicy that its latest form was looked at (`observedGeneration`),
 * and what the types of the kinds that it is about say of its expressions.
 *
 * What checks them is loaded with the first policy that there is: most clusters have none.
 */
import { WorkQueue } from '#kit/work-queue.ts';
import { validatingAdmissionPolicies as policyKind } from '#resources/kinds.ts';
import type {
  TypeChecking,
  ValidatingAdmissionPolicy,
} from '#resources/types/admissionregistration-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';

export function openAdmissionPolicyStatusController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const checker = new Checker(deps);
  const queue = new WorkQueue(deps);
  const policies = informers.of(policyKind);
  const wake = ({ metadata }: ValidatingAdmissionPolicy): void => queue.add(metadata.name ?? '');
  policies.addHandler({ onAdd: wake, onUpdate: wake });
  return {
    name: 'validatingadmissionpolicy-status-controller',
    queue,
    workers: 1,
    sources: [policies],
    reconcile: async (name, { signal }) => {
      const policy = policies.get(name);
      const { generation } = policy?.metadata ?? {};
      if (policy === undefined || policy.status?.observedGeneration === generation) return;
      const typeChecking = await checker.check(policy, signal);
      const status = { ...policy.status, observedGeneration: generation, typeChecking };
      const options = { subresource: 'status', signal };
      await client.update(policyKind, { ...policy, status }, options).catch(ignoreNotFound);
    },
  };
}

class Checker {
  readonly #clock: ControllerDeps['clock'];
  #loading: Promise<Loaded> | undefined;

  constructor({ clock }: Pick<ControllerDeps, 'clock'>) {
    this.#clock = clock;
  }

  async check(policy: ValidatingAdmissionPolicy, signal: AbortSignal): Promise<TypeChecking> {
    this.#loading ??= load();
    const { catalog, openTypeCheck } = await this.#loading;
    const { places, check } = openTypeCheck(policy, catalog);
    const expressionWarnings: { readonly fieldRef: string; readonly warning: string }[] = [];
    for (const { fieldRef, expression } of places) {
      const problems: string[] = [];
      for (const problem of check(expression)) {
        if (problem !== undefined) problems.push(problem);
        // A policy may have many expressions, for many kinds.
        await this.#clock.sleep(0, { signal });
      }
      const warning = problems.join('\n');
      if (warning !== '') expressionWarnings.push({ fieldRef, warning });
    }
    return expressionWarnings.length === 0 ? {} : { expressionWarnings };
  }
}

type Loaded = Awaited<ReturnType<typeof load>>;

async function load() {
  const { openTypeCheck } = await import('#resources/admission-registration/policy-types.ts');
  const { openCatalog } = await import('#resources/resources.ts');
  return { catalog: openCatalog(), openTypeCheck };
}
