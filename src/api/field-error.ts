/**
 * What is wrong with a field, in upstream's terms. `api/errors.ts` turns a list of these into the
 * 422 Status (`Deployment.apps "x" is invalid: spec.replicas: Invalid value: -1: must be …`).
 */
export type FieldErrorType =
  | 'FieldValueNotFound'
  | 'FieldValueRequired'
  | 'FieldValueDuplicate'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldValueTypeInvalid'
  | 'InternalError';

export interface FieldError {
  readonly type: FieldErrorType;
  /** `spec.template.spec.containers[0].name`. */
  readonly field: string;
  readonly badValue?: unknown;
  /** Values that would be allowed, for `FieldValueNotSupported`. */
  readonly supported?: readonly string[];
  readonly detail: string;
}
