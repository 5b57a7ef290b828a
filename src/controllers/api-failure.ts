/**
 * What controllers read out of errors that the server answered: some are no failure at all, because
 * what was wanted is so already or has become pointless. Everything else is thrown on to the loop.
 */
import { ApiError, isReason } from '#api/errors.ts';

/** The namespace is being deleted: creating in it is pointless, and failing is no news. */
export function isNamespaceEnding(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  const causes = error.status.details?.causes ?? [];
  return causes.some((cause) => cause.reason === 'NamespaceTerminating');
}

/** For `catch`: what is gone already needs no deleting or patching. */
export function ignoreNotFound(error: unknown): undefined {
  if (!isReason(error, 'NotFound')) throw error;
}
