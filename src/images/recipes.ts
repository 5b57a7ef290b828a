/**
 * The images that the project makes for itself, so that a machine without any registry can run real
 * pods: `pause` (holds a pod's namespaces), `busybox` (a shell and small tools) and two variants of
 * `nginx` (a web server; the second has another page, so that a rollout has somewhere to go).
 *
 * A recipe says which packages, which files and which defaults; `images.ts` builds it and skips
 * what was built before from the same recipe. Both nginx variants share their large layer.
 */
import type { Architecture, ImageConfig } from './oci-layout.ts';
import type { Entry } from './tar.ts';

export interface Recipe {
  readonly reference: string;
  readonly packages: readonly string[];
  readonly omit?: readonly string[];
  /** Text files by path; they replace what the packages brought. */
  readonly files: Readonly<Record<string, string>>;
  readonly folders: readonly { readonly path: string; readonly mode: number }[];
  readonly symlinks: Readonly<Record<string, string>>;
  /** Makes a link in /bin for every tool that busybox has. */
  readonly busyboxLinks: boolean;
  /** Files of a second, small layer. */
  readonly overlay?: Readonly<Record<string, string>>;
  readonly config: ImageConfig;
}

/** Raise it when the way of building changes, so that images built before are built again. */
export const recipeVersion = 1;

const searchPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const accounts = {
  'etc/passwd': [
    'root:x:0:0:root:/root:/bin/sh',
    'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
    'www-data:x:33:33:www-data:/var/www:/bin/false',
    'nobody:x:65534:65534:nobody:/nonexistent:/bin/false',
    '',
  ].join('\n'),
  'etc/group': ['root:x:0:', 'daemon:x:1:', 'www-data:x:33:', 'nogroup:x:65534:', ''].join('\n'),
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

const folders = [
  { path: 'root', mode: 0o700 },
  { path: 'run', mode: 0o755 },
  { path: 'tmp', mode: 0o1777 },
  { path: 'var/tmp', mode: 0o1777 },
];

const busyboxRecipe: Recipe = {
  reference: 'localhost/busybox:1.35',
  packages: ['busybox-static'],
  files: accounts,
  folders: [...folders, { path: 'home', mode: 0o755 }],
  symlinks: {},
  busyboxLinks: true,
  config: { Cmd: ['sh'], Env: [searchPath] },
};

/** `hostname` is filled in by the server, so that one sees which pod has answered. */
const page = (title: string): string =>
  [
    '<!DOCTYPE html>',
    `<title>${title}</title>`,
    `<h1>${title}</h1>`,
    '<p>Served by <!--# echo var="hostname" --></p>',
    '',
  ].join('\n');

const nginxConfiguration = `daemon off;
user www-data;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 512; }
http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log /dev/stdout;
  sendfile on;
  keepalive_timeout 65;
  server {
    listen 80;
    root /usr/share/nginx/html;
    index index.html;
    ssi on;
  }
  include /etc/nginx/conf.d/*.conf;
}
`;

const nginxRecipe: Recipe = {
  reference: 'localhost/nginx:1.22',
  packages: ['nginx', 'busybox-static'],
  // The package asks for iproute2 only for the sake of its service unit.
  omit: ['iproute2'],
  files: {
    ...accounts,
    'etc/nginx/nginx.conf': nginxConfiguration,
    'usr/share/nginx/html/index.html': page('Welcome aboard'),
  },
  folders: [
    ...folders,
    { path: 'etc/nginx/conf.d', mode: 0o755 },
    { path: 'var/lib/nginx', mode: 0o755 },
    { path: 'var/log/nginx', mode: 0o755 },
  ],
  symlinks: { 'var/log/nginx/access.log': '/dev/stdout', 'var/log/nginx/error.log': '/dev/stderr' },
  busyboxLinks: true,
  config: {
    Entrypoint: ['/usr/sbin/nginx'],
    Env: [searchPath],
    ExposedPorts: { '80/tcp': {} },
    StopSignal: 'SIGQUIT',
    WorkingDir: '/',
  },
};

const nginxAlternateRecipe: Recipe = {
  ...nginxRecipe,
  reference: 'localhost/nginx:1.22-alt',
  overlay: { 'usr/share/nginx/html/index.html': page('Welcome aboard, again') },
};

export const pauseReference = 'localhost/pause:1';

export const exampleRecipes: readonly Recipe[] = [busyboxRecipe, nginxRecipe, nginxAlternateRecipe];

/** A tree from text files, for a small layer on top: folders above them are listed as well. */
export function fileEntries(files: Readonly<Record<string, string>>): readonly Entry[] {
  const entries = new Map<string, Entry>();
  for (const [path, text] of Object.entries(files)) {
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join('/');
      entries.set(folder, { kind: 'directory', path: folder, mode: 0o755 });
    }
    entries.set(path, { kind: 'file', path, mode: 0o644, content: Buffer.from(text) });
  }
  return [...entries.values()];
}

/** The name by which images of other processor families are known to registries. */
export function architectureOf(nodeArchitecture: string): Architecture {
  if (nodeArchitecture === 'x64') return 'amd64';
  if (nodeArchitecture === 'arm64') return 'arm64';
  throw new Error(`images can be built for x64 and arm64, not for ${nodeArchitecture}`);
}
