/**
 * `/version`: which Kubernetes this speaks, and what it is. Clients compare the numbers with their
 * own; people read the rest.
 */

export interface VersionDocument {
  readonly major: string;
  readonly minor: string;
  readonly gitVersion: string;
  readonly gitCommit: string;
  readonly gitTreeState: string;
  readonly buildDate: string;
  readonly goVersion: string;
  readonly compiler: string;
  readonly platform: string;
}

export function versionDocument(): VersionDocument {
  const { arch, platform, version } = process;
  return {
    major: '1',
    minor: '36',
    gitVersion: 'v1.36.0+coracle',
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '2026-01-01T00:00:00Z',
    goVersion: `node ${version}`,
    compiler: 'node',
    platform: `${platform}/${arch === 'x64' ? 'amd64' : arch}`,
  };
}
