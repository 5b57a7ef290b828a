/**
 * What the service managers of Linux are told about a cluster that is to run from the machine's
 * start on: texts of a systemd unit and of an OpenRC script. Pure.
 *
 * Pods outlive a restart of the service (`--leave-pods`, and only our own processes are killed), so
 * that an update of the program is no outage. `install-command.ts` writes and starts them.
 */
export interface ServiceOptions {
  /** Of the unit; also of its files. */
  readonly name: string;
  /** The program and its first arguments: node, then our entry. */
  readonly program: readonly string[];
  /** Flags of `up`, as the user gave them. */
  readonly flags: readonly string[];
  /** Where the cluster is: `uninstall` reads it in the unit. */
  readonly dataDir: string;
  /** Says when it is ready; needs the program `systemd-notify`. */
  readonly canNotify: boolean;
}

export type ServiceManager = 'systemd' | 'openrc';

export interface ServiceFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/** Keys that begin so are passed over by systemd. */
const dataDirKey = 'X-Coracle-DataDir=';

/** What a unit or script of ours says; undefined in those that older programs wrote. */
export function dataDirOf(text: string): string | undefined {
  return new RegExp(`^(?:# )?${dataDirKey}(.+)$`, 'm').exec(text)?.[1];
}

export function serviceFiles(
  manager: ServiceManager,
  options: ServiceOptions,
): readonly [unit: ServiceFile, environment: ServiceFile] {
  const { name } = options;
  const environment = '# Variables of the service, one NAME=value a line.\n';
  if (manager === 'openrc') {
    return [
      { path: `/etc/init.d/${name}`, text: openRCScript(options), mode: 0o755 },
      { path: `/etc/conf.d/${name}`, text: environment, mode: 0o600 },
    ];
  }
  return [
    { path: `/etc/systemd/system/${name}.service`, text: systemdUnit(options), mode: 0o644 },
    { path: `/etc/systemd/system/${name}.service.env`, text: environment, mode: 0o600 },
  ];
}

function systemdUnit(options: ServiceOptions): string {
  const { name, program, flags, canNotify, dataDir } = options;
  const command = [...program, 'up', '--leave-pods', ...flags].map(quoteForSystemd).join(' ');
  return `[Unit]
Description=Coracle: Kubernetes
Wants=network-online.target
After=network-online.target
${dataDirKey}${dataDir}

[Service]
Type=${canNotify ? 'notify' : 'exec'}
NotifyAccess=all
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/systemd/system/${name}.service.env
ExecStart=${command}
# Containers are not ours to kill: they go on while the service restarts.
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
TimeoutStopSec=120
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
`;
}

/** Quoted where systemd would see something else; percent signs and dollars are doubled. */
function quoteForSystemd(word: string): string {
  const doubled = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  if (/^[\w@%+=:,./$-]+$/.test(doubled)) return doubled;
  return `"${doubled.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

function openRCScript({ name, program, flags, dataDir }: ServiceOptions): string {
  const [command = '', ...rest] = program;
  const words = [...rest, 'up', '--leave-pods', ...flags].map(quoteForShell).join(' ');
  return `#!/sbin/openrc-run
# ${dataDirKey}${dataDir}

description="Coracle: Kubernetes"
supervisor=supervise-daemon
command=${quoteForShell(command)}
command_args=${quoteForShell(words)}
output_log=/var/log/${name}.log
error_log=/var/log/${name}.log
pidfile=/run/${name}.pid
respawn_delay=5
respawn_max=0
rc_ulimit="-n 1048576 -u unlimited -c 0"
rc_cgroup_cleanup=no

depend() {
	after network-online
	want cgroups
}

set -o allexport
if [ -f /etc/conf.d/${name} ]; then . /etc/conf.d/${name}; fi
set +o allexport
`;
}

function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
