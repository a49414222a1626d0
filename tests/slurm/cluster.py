"""A real Slurm cluster on this machine, for tests: two virtual nodes with two fake GPUs each.

    tests/slurm/install                                    # Slurm, munge and MariaDB, once
    python tests/slurm/cluster.py start /tmp/cluster       # then: sinfo, squeue, sbatch, sacct
    python tests/slurm/cluster.py stop /tmp/cluster

All daemons run as the user who starts them and listen on 127.0.0.1. Only slurmdbd has no such
setting; it accepts only clients with the key of this cluster. All files are in one directory,
except for links in /etc/slurm to the configuration; they need root or sudo, and `stop` removes
them.
Memory limits and control groups are not enforced.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from string import Template

import psutil

TEMPLATES = Path(__file__).parent / "etc"
# Snakemake's plugin removes SLURM_CONF from its jobs, so they read the configuration here.
SYSTEM = Path("/etc/slurm")
LINKED = ["slurm.conf", "gres.conf", "cgroup.conf"]
NODES = ["n1", "n2"]
PORTS = ["slurmctld", "slurmdbd", "mariadb", "slurmd_1", "slurmd_2"]
# In the order of stopping.
DAEMONS = ["slurmd-n1", "slurmd-n2", "slurmctld", "slurmdbd", "mariadbd", "munged"]
SECONDS_TO_START = 300
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


class ClusterError(Exception):
    """The cluster cannot be started. The message gives the reason and what to do."""


def as_root(*command: str) -> list[str]:
    """Return a command that runs as root, without asking for a password."""
    return list(command) if os.geteuid() == 0 else ["sudo", "--non-interactive", *command]


def free_ports(count: int) -> list[int]:
    """Return free ports of 127.0.0.1."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(name: str, condition: Callable[[], bool], seconds: float = SECONDS_TO_START) -> None:
    """Wait until a condition is true.

    Raises:
        ClusterError: it is not true within the time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{name}: not true within {seconds:.0f} s")
        time.sleep(0.1)


class Cluster:
    """A cluster with its files in one directory.

    Attributes:
        directory: its path must be short, since paths of sockets have at most 107 characters.
        environment: environment variables for commands of the cluster.
    """

    def __init__(self, directory: Path):
        """Set the paths; `start` starts the cluster."""
        self.directory = directory.absolute()
        configuration = str(self.directory / "etc/slurm.conf")
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": configuration}

    def start(self) -> None:
        """Start all daemons and wait until both nodes are idle.

        Raises:
            ClusterError: a program is missing, another Slurm exists, or a daemon does not start.
        """
        self.check()
        for name in ("run", "log", "state", "dev", "etc", *(f"spool-{node}" for node in NODES)):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self.write_configuration()
        self.link_configuration()
        self.start_munge()
        self.start_accounting()
        self.start_daemon("slurmctld", "slurmctld", "-D")
        self.start_missing_nodes()

    def check(self) -> None:
        """Check that the cluster can start.

        Raises:
            ClusterError: programs are missing, or another Slurm is configured.
        """
        programs = ["slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd"]
        missing = [name for name in programs if shutil.which(name, path=PATH) is None]
        if missing:
            raise ClusterError(f"{', '.join(missing)}: not installed; run tests/slurm/install")
        for path in (SYSTEM / name for name in LINKED):
            if path.exists() and path.resolve().parent != self.directory / "etc":
                raise ClusterError(
                    f"{path} exists already: end its test cluster (`cluster.py stop DIRECTORY`) "
                    "or use a machine without its own Slurm"
                )

    def write_configuration(self) -> None:
        """Fill in the templates."""
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        values = {f"{name}_port": port for name, port in ports.items()}
        for template in TEMPLATES.iterdir():
            text = Template(template.read_text()).substitute(
                values,
                directory=self.directory,
                host=socket.gethostname().split(".")[0],
                user=pwd.getpwuid(os.geteuid()).pw_name,
            )
            path = self.directory / "etc" / template.name
            path.write_text(text)
            path.chmod(0o600 if template.name == "slurmdbd.conf" else 0o644)
        for number in range(2):
            device = self.directory / f"dev/nvidia{number}"
            device.unlink(missing_ok=True)
            device.symlink_to("/dev/null")

    def link_configuration(self) -> None:
        """Link the configuration to the directory in which jobs look for it.

        Raises:
            ClusterError: the user is not root and cannot use sudo.
        """
        commands = [as_root("mkdir", "-p", str(SYSTEM))]
        commands += [
            as_root("ln", "-sfn", str(self.directory / "etc" / name), str(SYSTEM / name))
            for name in LINKED
        ]
        for command in commands:
            if subprocess.run(command, capture_output=True).returncode != 0:
                raise ClusterError(f"{SYSTEM}: cannot be written; run as root, or with sudo")

    def start_munge(self) -> None:
        """Start the authentication service, with its own key and socket."""
        key = self.directory / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        socket_path = self.directory / "run/munge.socket"
        self.start_daemon(
            "munged",
            "munged",
            "--foreground",
            "--force",  # munged rejects temporary directories otherwise.
            f"--key-file={key}",
            f"--socket={socket_path}",
            f"--pid-file={self.directory / 'run/munged.own.pid'}",
            f"--seed-file={self.directory / 'munge.seed'}",
            f"--log-file={self.directory / 'log/munged.own.log'}",
        )
        wait_for("munge answers", lambda: self.succeeds("munge", "-n", "-S", str(socket_path)))

    def start_accounting(self) -> None:
        """Start the database and the accounting daemon, and add an account for the user."""
        database, configuration = self.directory / "database", self.directory / "etc/mariadb.cnf"
        user = pwd.getpwuid(os.geteuid()).pw_name
        if not database.exists():
            self.run(
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={database}",
                f"--user={user}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            )
        self.start_daemon(
            "mariadbd", "mariadbd", f"--defaults-file={configuration}", f"--user={user}"
        )
        client = ["mariadb", "--no-defaults", f"--socket={self.directory}/run/mariadb.socket"]
        client += ["--user=root"]
        wait_for("the database answers", lambda: self.succeeds(*client, "--execute=SELECT 1"))
        self.run(
            *client,
            "--execute=CREATE DATABASE IF NOT EXISTS slurm_accounting;"
            "CREATE USER IF NOT EXISTS slurm@127.0.0.1 IDENTIFIED BY 'slurm';"
            "GRANT ALL ON slurm_accounting.* TO slurm@127.0.0.1;",
        )
        self.start_daemon("slurmdbd", "slurmdbd", "-D")
        wait_for("accounting answers", lambda: self.succeeds("sacctmgr", "-n", "show", "cluster"))
        accounts = "sacctmgr --immediate --quiet add"
        self.run(*f"{accounts} cluster aligners".split())
        self.run(*f"{accounts} account research cluster=aligners".split())
        self.run(*f"{accounts} user {user} account=research cluster=aligners".split())

    def start_missing_nodes(self) -> None:
        """Start the daemons of nodes without one, and wait until all nodes are idle."""
        for node in NODES:
            if not (self.directory / f"run/slurmd-{node}.pid").exists():
                self.start_daemon(f"slurmd-{node}", "slurmd", "-D", "-N", node)
        wait_for("the nodes are idle", lambda: self.node_states() == ["idle"] * len(NODES))

    def start_daemon(self, name: str, *command: str) -> None:
        """Start a daemon in the background, and record its process id."""
        with (self.directory / f"log/{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.directory,  # Core dumps go there too.
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.directory / f"run/{name}.pid").write_text(str(process.pid))

    def stop(self) -> None:
        """Cancel all jobs, stop the daemons, and remove the links."""
        if self.succeeds("scontrol", "ping"):
            self.succeeds("scancel", "--quiet", "--user", str(os.geteuid()))
            wait_for("all jobs are gone", lambda: not self.output("squeue", "--noheader"))
        for name in DAEMONS:
            self.stop_daemon(name)
        for name in LINKED:
            link = SYSTEM / name
            if link.is_symlink() and os.readlink(link).startswith(str(self.directory)):
                subprocess.run(as_root("rm", str(link)), check=True)

    def stop_daemon(self, name: str, signal_number: int = signal.SIGTERM) -> None:
        """End a daemon of this cluster, and wait for its end."""
        path = self.directory / f"run/{name}.pid"
        if not path.exists():
            return
        try:
            process = psutil.Process(int(path.read_text()))
            if name.split("-")[0] in process.name():
                process.send_signal(signal_number)
                process.wait(timeout=30)
        except psutil.NoSuchProcess:
            pass
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)
        path.unlink()

    def run(self, *command: str) -> str:
        """Run a command and return its output.

        Raises:
            ClusterError: the command fails.
        """
        result = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=300
        )
        if result.returncode != 0:
            raise ClusterError(f"{' '.join(command)}: {result.stdout}{result.stderr}")
        return result.stdout

    def succeeds(self, *command: str) -> bool:
        """Return whether a command succeeds."""
        try:
            self.run(*command)
        except (ClusterError, subprocess.TimeoutExpired):
            return False
        return True

    def output(self, *command: str) -> str:
        """Return the output of a command, without surrounding white space."""
        return self.run(*command).strip()

    def node_states(self) -> list[str]:
        """Return the state of each node; empty while the controller does not answer."""
        try:
            return self.output(
                "sinfo", "--noheader", "--Node", "--partition=gpu", "-o", "%T"
            ).split()
        except ClusterError:
            return []


def main() -> None:
    """Start or stop a cluster."""
    match sys.argv[1:]:
        case ["start", directory]:
            cluster = Cluster(Path(directory))
            cluster.start()
            print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}")
        case ["stop", directory]:
            Cluster(Path(directory)).stop()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main()
    except ClusterError as error:
        sys.exit(f"error: {error}")
