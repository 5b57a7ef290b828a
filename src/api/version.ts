/**
 * `/version`: which Kubernetes this speaks, and what it is. Clients compare the numbers with their
 * own; people read the rest. The same as a metric, for every component.
 */

import { familyHead } from '#kit/metric-family.ts';

export interface VersionDocument {
  readonly major: string;
  readonly minor: string;
  readonly emulationMajor: string;
  readonly emulationMinor: string;
  readonly minCompatibilityMajor: string;
  readonly minCompatibilityMinor: string;
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
    emulationMajor: '1',
    emulationMinor: '36',
    minCompatibilityMajor: '1',
    minCompatibilityMinor: '35',
    gitVersion: 'v1.36.0+coracle',
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '2026-01-01T00:00:00Z',
    goVersion: `node ${version}`,
    compiler: 'node',
    platform: `${platform}/${arch === 'x64' ? 'amd64' : arch}`,
  };
}

export function* buildFigures(): Iterable<string> {
  const { major, minor, gitVersion, platform } = versionDocument();
  const labels = `git_version="${gitVersion}",major="${major}",minor="${minor}"`;
  const name = 'kubernetes_build_info';
  yield* familyHead(name, 'gauge', 'Which version this speaks.');
  yield `${name}{${labels},platform="${platform}"} 1`;
}
