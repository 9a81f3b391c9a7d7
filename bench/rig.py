"""What the measuring scripts share: starting an origin and corelane, reading the kernel's accounts of them."""

import ctypes
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
READY_SECONDS_MAX = 10
STOP_SECONDS_MAX = 5
START_TRIES_MAX = 3
PR_SET_PDEATHSIG = 1
CRATES = {"corelane": "corelane", "corelane-bench": "corelane-bench"}
LIBC = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """Something is not installed or not built."""


class Failed(Exception):
    """A measurement that would be wrong, or that could not be made."""


def tool(name):
    """The path of an installed program, whose Debian package has its name; sbin is not on every user's PATH."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Unavailable(f"{name} is not installed (Debian: apt-get install {name})")
    return path


def cores():
    """The two cores to use: one for the proxy, one for everything else."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Unavailable("two cores are needed: one for the proxy, one for load and origin")
    return allowed[0], allowed[1]


def say(text):
    print(text, file=sys.stderr, flush=True)


def raise_descriptor_limit(needed):
    """Raises the soft limit, which children inherit, to the hard one; fails if that is not enough."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise Failed(f"{needed} descriptors per process are needed and the hard limit is {hard}: "
                     f"raise it (ulimit -Hn {needed}) or ask for fewer connections")


def build(name):
    """Builds a subject of this workspace for release."""
    command = ["cargo", "build", "--release", "--bin", CRATES[name]]
    if subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode:
        raise Unavailable(f"{' '.join(command)} failed")


def binary(name):
    """Where cargo puts a subject of this workspace."""
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if answer.returncode:
        raise Unavailable(f"cargo metadata failed:\n{answer.stderr.strip()}")
    path = pathlib.Path(json.loads(answer.stdout)["target_directory"]) / "release" / CRATES[name]
    if not path.exists():
        raise Unavailable(f"{CRATES[name]} is not built (cargo build --release --bin {CRATES[name]})")
    return str(path)


def family(pid):
    """A process and all its descendants."""
    pids = [pid]
    for parent in pids:
        try:
            for children in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
                pids += [int(child) for child in children.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return pids


def started_at(pid):
    """The start time of a process in ticks, which tells it from a later one with its id; None if it has ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def get(port, timeout=5):
    """One GET on a new connection that stays open: the socket, the status and the content's length."""
    stream = socket.create_connection(("127.0.0.1", port), timeout)
    try:
        return (stream, *exchange(stream, port))
    except BaseException:
        stream.close()
        raise


def exchange(stream, port):
    """One GET on an open connection, read to its end."""
    stream.sendall(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    received = b""
    while b"\r\n\r\n" not in received:
        received += piece(stream)
    head, _, content = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = int(fields["content-length"])
    while len(content) < length:
        content += piece(stream)
    return int(lines[0].split()[1]), len(content)


def piece(stream):
    received = stream.recv(65536)
    if not received:
        raise ConnectionError("closed in mid-answer")
    return received


class Process:
    """A server that this script started."""

    def __init__(self, name, argv, core, log):
        self.name, self.log, self.port = name, log, None
        with open(log, "wb") as output:
            # A session of its own: Ctrl-C reaches only the script, which then stops the server in order.
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                          start_new_session=True, preexec_fn=lambda: prepare(core))

    @property
    def pids(self):
        return family(self.popen.pid)

    def alive(self):
        return self.popen.poll() is None

    def tail(self):
        return pathlib.Path(self.log).read_text(errors="replace").strip()[-2000:]

    def stop(self):
        """Ends the process and what it forked: asked first, then killed."""
        known = {pid: started_at(pid) for pid in self.pids}
        self.popen.terminate()
        try:
            self.popen.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        for pid, start in known.items():
            if pid != self.popen.pid and start is not None and started_at(pid) == start:
                os.kill(pid, signal.SIGKILL)


def prepare(core):
    """Runs in the child: pins it, unless `core` is `None`, and ends it should the script itself be killed."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Rig:
    """An origin, subjects and a directory for their files; all gone when the `with` block ends."""

    def __init__(self, size, connections, overrides=None):
        self.size, self.connections = size, connections
        self.overrides = overrides or {}
        self.proxy_core, self.load_core = cores()
        self.processes = []

    def __enter__(self):
        # TERM ends the script as Ctrl-C does, so that the block is left in order.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="corelane-bench-"))
        # nginx's worker may be another user.
        self.directory.chmod(0o755)
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave servers behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def start_origin(self):
        self.origin = self.start("origin", self.load_core)

    def start(self, name, core="proxy"):
        """Starts a server on a free port, on the proxies' core, another or (`None`) any, and waits until it answers.
        `corelane@2` is corelane with two lanes."""
        core = self.proxy_core if core == "proxy" else core
        for attempt in range(1, START_TRIES_MAX + 1):
            port = free_port()
            argv = self.command(name, port)
            process = Process(name, argv, core, self.directory / f"{name}.log")
            self.processes.append(process)
            process.port = port
            try:
                self.await_answer(process)
                return process
            except Failed as failure:
                process.stop()
                self.processes.remove(process)
                # Somebody may have taken the port since the kernel gave it to us.
                if attempt == START_TRIES_MAX or "in use" not in str(failure):
                    raise
        raise AssertionError("the last try returns or raises")

    def await_answer(self, process):
        deadline = time.monotonic() + READY_SECONDS_MAX
        reason = "no answer"
        while time.monotonic() < deadline and process.alive():
            try:
                stream, status, length = get(process.port)
                stream.close()
                if (status, length) == (200, self.size):
                    return
                reason = f"status {status} with {length} bytes, not 200 with {self.size}"
            except (OSError, ValueError, KeyError, IndexError) as error:
                reason = str(error)
            time.sleep(0.02)
        raise Failed(f"{process.name} does not serve ({reason}); it said:\n{process.tail()}")

    def command(self, name, port):
        """The command line that serves on `port`."""
        if name != "origin":
            name, _, lanes = name.partition("@")
            return [self.executable(name), "proxy", "--listen", f"127.0.0.1:{port}", "--to",
                    f"127.0.0.1:{self.origin.port}", "--lanes", lanes or "1", "--access-log", "off"]
        prefix = self.directory / name
        prefix.mkdir(exist_ok=True)
        template = BENCH / "peers" / "nginx-origin.conf"
        return [tool("nginx"), "-p", f"{prefix}/", "-e", "stderr", "-c", self.fill(template, name, port)]

    def executable(self, name):
        return self.overrides.get(name) or binary(name)

    def fill(self, template, name, port):
        """Writes a configuration from its template."""
        text = template.read_text().replace("@LISTEN@", str(port))
        text = text.replace("@CONNECTIONS@", str(2 * self.connections + 256))
        text = text.replace("@ANSWER@", f'return 200 "{"x" * self.size}";')
        path = self.directory / f"{name}.conf"
        path.write_text(text)
        return str(path)


def free_port():
    """A port that the kernel says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def resident_bytes(pids):
    """VmRSS of some processes."""
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def run_times(pids):
    """Time on a CPU of each thread of some processes, in nanoseconds, by the scheduler's account."""
    times = {}
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                times[int(task.name)] = int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return times


def machine():
    """What the figures were measured on."""
    model = next((line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release()}
