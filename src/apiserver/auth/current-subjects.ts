/**
 * Whether what a token is bound to still exists with the same uid: its service account and, where
 * there is one, its pod. So a token ends when its pod does.
 */
import type { Store } from '#store';
import { decodeEntry, registryRoot } from '../registry.ts';
import type { BoundObject, TokenSubject } from './tokens.ts';

export function currentSubjects(store: Store): (subject: TokenSubject) => boolean {
  const exists = (key: string, { uid }: BoundObject): boolean => {
    const entry = store.get(registryRoot + key);
    return entry !== undefined && decodeEntry(entry).metadata.uid === uid;
  };
  return ({ namespace, serviceAccount, pod, secret }) => {
    if (!exists(`serviceaccounts/${namespace}/${serviceAccount.name}`, serviceAccount))
      return false;
    if (secret !== undefined && !exists(`secrets/${namespace}/${secret.name}`, secret))
      return false;
    return pod === undefined || exists(`pods/${namespace}/${pod.name}`, pod);
  };
}
