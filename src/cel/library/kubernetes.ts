/**
 * All functions that expressions of Kubernetes v1.36 have, whatever they are used for. What only
 * one use has (`includes` for devices) its environment adds; `authorizer` comes with admission.
 */
import type { Library } from '../functions.ts';
import { addressLibrary } from './addresses.ts';
import { conversionLibrary } from './conversion.ts';
import { listsLibrary } from './lists.ts';
import { formatLibrary } from './named-formats.ts';
import { optionalLibrary } from './optionals.ts';
import { quantityLibrary } from './quantities.ts';
import { standardLibrary } from './standard.ts';
import { stringsLibrary } from './strings.ts';
import { timeLibrary } from './time.ts';

export const kubernetesLibraries: readonly Library[] = [
  standardLibrary,
  conversionLibrary,
  timeLibrary,
  stringsLibrary,
  optionalLibrary,
  listsLibrary,
  quantityLibrary,
  addressLibrary,
  formatLibrary,
];
