/**
 * Why a selector of devices cannot be used; its text is told to the owner of the pod. In a file of
 * its own, so that whoever catches it need not load the evaluator of expressions.
 */
export class SelectorError extends Error {
  override readonly name = 'SelectorError';
}
