/**
 * A long test in steps that build on one another: each is a test of its own, and after the first
 * that fails there are no more. What the cluster looked like then says more than the message.
 */
import type { TestContext } from 'node:test';

export type Step = (name: string, body: () => Promise<void>) => Promise<void>;

/** `picture` is asked at the first failure, and printed. */
export function stepsOf(t: TestContext, picture: () => Promise<string>): Step {
  return async (name, body) => {
    let failure: { readonly error: unknown } | undefined;
    await t.test(name, async () => {
      try {
        await body();
      } catch (error) {
        failure = { error };
        console.error(await picture());
        throw error;
      }
    });
    if (failure !== undefined) throw failure.error;
  };
}
