/** `/version`: which Kubernetes this speaks, and what it is. */
import { arch, platform, version } from 'node:process';

export function versionDocument(): object {
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
