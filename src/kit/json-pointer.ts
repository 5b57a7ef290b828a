/**
 * JSON Pointer (RFC 6901): `/spec/containers/0/image`, with `~1` for a slash and `~0` for a tilde.
 * Used by JSON Patch, and wherever one place inside a JSON value must be named.
 */
export function parsePointer(pointer: string): readonly string[] | undefined {
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) return undefined;
  return pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}
