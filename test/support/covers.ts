/**
 * Says which numbered rows of the specification a test proves.
 *
 * Call inside a test's body: `covers('WRK-012')`, or `superseded('WRK-013', { by: 'v1.22', now:
 * 'what today's version does' })` where the documents describe behaviour that Kubernetes has since
 * changed. Each call becomes a diagnostic of the running test; `scripts/testing/reporter.ts` keeps
 * those of passing tests, and `npm run coverage:spec` counts them. A row that does not exist
 * (`rows.json`) fails the test.
 */
import { getTestContext } from 'node:test';
import areas from './rows.json' with { type: 'json' };

/** What a test reports, as the text of one diagnostic: the prefix and then JSON. */
export type Claim =
  | { readonly state: 'proven'; readonly ids: readonly string[] }
  | {
      readonly state: 'superseded';
      readonly id: string;
      readonly by: string;
      readonly now: string;
    };

export const claimPrefix = 'specification rows ';

export function covers(...ids: readonly string[]): void {
  report({ state: 'proven', ids: ids.map(existing) });
}

export function superseded(
  id: string,
  options: { readonly by: string; readonly now: string },
): void {
  report({ state: 'superseded', id: existing(id), by: options.by, now: options.now });
}

/** Reads a diagnostic back; undefined when it is not one of ours. */
export function parseClaim(message: string): Claim | undefined {
  if (!message.startsWith(claimPrefix)) return undefined;
  // Parse boundary: only `report` below writes this prefix.
  return JSON.parse(message.slice(claimPrefix.length)) as Claim;
}

function existing(id: string): string {
  for (const rows of Object.values(areas)) if (Object.hasOwn(rows, id)) return id;
  throw new Error(`the specification has no row ${id}`);
}

function report(claim: Claim): void {
  const context = getTestContext();
  if (context === undefined || !('diagnostic' in context)) {
    throw new Error('covers() and superseded() are called inside the body of a test');
  }
  context.diagnostic(claimPrefix + JSON.stringify(claim));
}
