/**
 * How a CSI driver must be called, wherever one is named: as its CSIDriver object, so that a name
 * in a class, an attachment or on a node always leads to one.
 */
import { type FieldError, invalid, required, tooLong } from '#api/field-error.ts';
import { subdomainProblems } from '#api/names.ts';

const bytesMax = 63;

export function validateDriverName(name: string, field: string): FieldError[] {
  if (name === '') return [required(field)];
  const errors = Buffer.byteLength(name) > bytesMax ? [tooLong(field, bytesMax)] : [];
  const problems = subdomainProblems(name.toLowerCase());
  return [...errors, ...problems.map((problem) => invalid(field, name, problem))];
}
