/**
 * Validation of the profiles that confine a pod or a container: seccomp and AppArmor, and how
 * `/proc` is mounted. `spec-validation.ts` and `container-validation.ts` call it.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import type { AppArmorProfile, SeccompProfile } from '#resources/types/core-v1.ts';
import { validateLocalPath } from '#resources/value-validation.ts';

const types = ['Localhost', 'RuntimeDefault', 'Unconfined'];
const procMounts = ['Default', 'Unmasked'];

interface Profiles {
  readonly seccompProfile?: SeccompProfile | undefined;
  readonly appArmorProfile?: AppArmorProfile | undefined;
  readonly procMount?: string | undefined;
}

export function validateProfiles(profiles: Profiles, field: string): FieldError[] {
  const { seccompProfile, appArmorProfile, procMount } = profiles;
  const errors: FieldError[] = [];
  if (procMount !== undefined && !procMounts.includes(procMount)) {
    errors.push(notSupported(`${field}.procMount`, procMount, procMounts));
  }
  if (seccompProfile !== undefined) {
    errors.push(...validateSeccomp(seccompProfile, `${field}.seccompProfile`));
  }
  if (appArmorProfile !== undefined) {
    errors.push(...validateAppArmor(appArmorProfile, `${field}.appArmorProfile`));
  }
  return errors;
}

function validateSeccomp(profile: SeccompProfile, field: string): FieldError[] {
  const { type, localhostProfile } = profile;
  if (!type) return [required(`${field}.type`, 'type is required when seccompProfile is set')];
  const errors = types.includes(type) ? [] : [notSupported(`${field}.type`, type, types)];
  const at = `${field}.localhostProfile`;
  if (type === 'Localhost') {
    if (localhostProfile !== undefined) {
      return [...errors, ...validateLocalPath(localhostProfile, at)];
    }
    return [...errors, required(at, 'must be set when seccomp type is Localhost')];
  }
  if (localhostProfile === undefined) return errors;
  return [...errors, invalid(at, profile, 'can only be set when seccomp type is Localhost')];
}

function validateAppArmor({ type, localhostProfile }: AppArmorProfile, field: string) {
  if (!type) return [required(`${field}.type`, 'type is required when appArmorProfile is set')];
  const errors = types.includes(type) ? [] : [notSupported(`${field}.type`, type, types)];
  if (errors.length > 0) return errors;
  const at = `${field}.localhostProfile`;
  if (type === 'Localhost' && (localhostProfile ?? '').trim() === '') {
    errors.push(required(at, 'must be set when AppArmor type is Localhost'));
  }
  if (type !== 'Localhost' && localhostProfile !== undefined) {
    errors.push(invalid(at, localhostProfile, 'can only be set when AppArmor type is Localhost'));
  }
  return errors;
}
