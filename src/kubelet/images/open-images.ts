/**
 * Puts together what a kubelet has to do with images and registries. Called once, by
 * `assemble.ts`.
 */
import type { Client } from '#client';
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { serviceAccounts } from '#resources/kinds.ts';
import type { TokenRequest } from '#resources/types/authentication-v1.ts';
import type { ServiceAccount } from '#resources/types/core-v1.ts';
import type { CredentialPlugin } from './credential-plugin-config.ts';
import {
  CredentialPlugins,
  type CredentialPluginsDeps,
  runPluginsIn,
} from './credential-plugins.ts';
import { Images, type PullSettings } from './images.ts';
import { type LoginFolders, PullLogins } from './pull-logins.ts';
import { PullRecords } from './pull-records.ts';
import { openRecordFiles } from './record-files.ts';

/** What the node itself knows of registries. */
export interface RegistryOptions {
  /** Where its own logins are. */
  readonly loginFolders: LoginFolders;
  readonly plugins?:
    | {
        readonly list: readonly CredentialPlugin[];
        readonly programFolder: string;
        /** Of this process; plugins see it. */
        readonly environment: NodeJS.ProcessEnv;
      }
    | undefined;
}

interface Deps {
  readonly client: Client;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Logger;
  /** Empty where there is none. */
  readonly readFile: (path: string) => string;
  readonly loaded: Promise<unknown> | undefined;
}

export function openImages(
  deps: Deps,
  options: {
    readonly root: string;
    readonly settings: PullSettings;
    readonly registries: RegistryOptions | undefined;
    readonly signal: AbortSignal;
  },
): { readonly images: Images; readonly logins: PullLogins; readonly records: PullRecords } {
  const { root, settings, registries, signal } = options;
  const { plugins } = registries ?? {};
  const records = new PullRecords({ ...deps, files: openRecordFiles(deps, { root }) });
  const asked =
    plugins === undefined
      ? undefined
      : new CredentialPlugins(
          {
            ...deps,
            run: runPluginsIn(plugins.programFolder, plugins.environment),
            ...accountsOf(deps),
          },
          plugins.list,
          { signal },
        );
  const folders = registries?.loginFolders ?? { modern: [], old: [] };
  return {
    images: new Images({ ...deps, records }, { settings, signal }),
    logins: new PullLogins({ readFile: deps.readFile, plugins: asked }, { folders }),
    records,
  };
}

function accountsOf({ client }: Deps): Pick<CredentialPluginsDeps, 'account' | 'token'> {
  return {
    account: (at, options) => client.get(serviceAccounts, at, options),
    token: async (pod, { account, audience }, options) => {
      const { name = '', uid = '' } = pod.metadata;
      const request: TokenRequest = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        metadata: { uid: account.uid },
        spec: {
          audiences: [audience],
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
        },
      };
      const { namespace } = account;
      const at = { namespace, name: account.name };
      const issued = await client.createSubresource<ServiceAccount, TokenRequest, TokenRequest>(
        serviceAccounts,
        at,
        'token',
        request,
        options,
      );
      const token = issued.status?.token;
      if (token === undefined) throw new Error(`no token for service account ${account.name}`);
      return token;
    },
  };
}
