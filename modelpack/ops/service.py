"""The model server as a service of systemd: its unit, its user, its folder.

See: https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelpack.content.disk import replacing
from modelpack.errors import InputError, StoreError

NAME: Final = "modelpack"
HOME: Final = "/usr/share/modelpack"
UNIT: Final = "etc/systemd/system/modelpack.service"
OVERRIDES: Final = f"{UNIT}.d"
_GROUPS = ("render", "video")
"""Who may use GPUs."""
_HOMES = ("/home/", "/root/")

_TEMPLATE = """\
[Unit]
Description=ModelPack model server
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart={program} serve
User={name}
Group={name}
{groups}WorkingDirectory={home}
Environment=HOME={home}
Environment=MODELPACK_MODELS={home}/models
Restart=always
RestartSec=3
TimeoutStopSec=45
KillMode=mixed
LimitNOFILE=65536

# It writes its models, and nothing else.
ProtectSystem=strict
ReadWritePaths={home}
ProtectHome={protect_home}
PrivateTmp=yes
UMask=0027

# It needs no privilege, and gets none.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes

# GPUs are the only devices that it sees.
DevicePolicy=closed
DeviceAllow=char-drm rw
DeviceAllow=char-kfd rw
DeviceAllow=char-nvidia rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=char-nvidiactl rw

[Install]
WantedBy=multi-user.target
"""

_OVERRIDE = """\
# Settings of this machine. `modelpack serve --help` lists the variables. After a change:
#   systemctl daemon-reload && systemctl restart modelpack
[Service]
#Environment=MODELPACK_HOST=0.0.0.0:11434
#Environment=MODELPACK_API_KEYS_FILE=/usr/share/modelpack/keys
#Environment=MODELPACK_KEEP_ALIVE=30m

# A GPU of AMD that ROCm does not know, but one like it:
#Environment=HSA_OVERRIDE_GFX_VERSION=10.3.0
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """Where a service is installed. Anything but `/` is a folder for an image: nothing is run."""

    root: Path = Path("/")

    @property
    def is_live(self) -> bool:
        """Whether this is the machine that we run on."""
        return self.root == Path("/")

    def path(self, inside: str) -> Path:
        """Return where the file *inside* lies."""
        return self.root / inside.lstrip("/")


def unit_text(program: str, groups: Sequence[str] = _GROUPS) -> str:
    """Return the unit that runs *program*, whose user is in *groups*, too."""
    line = f"SupplementaryGroups={' '.join(groups)}\n" if groups else ""
    shared = program.startswith(_HOMES)
    return _TEMPLATE.format(
        program=program,
        name=NAME,
        home=HOME,
        groups=line,
        protect_home="read-only" if shared else "yes",
    )


def install(installation: Installation, program: str, tell: Callable[[str], None]) -> None:
    """Write unit, folder and overrides; on this machine also make the user, and start it.

    What an administrator wrote into the overrides stays.

    Raises:
        InputError: we are not root, or *program* is not there.
        StoreError: something cannot be written, or systemd refuses.
    """
    if installation.is_live:
        _require_root()
        if not Path(program).is_file():
            raise InputError(f"no such program: {program}")
    groups = _known_groups() if installation.is_live else _GROUPS
    if installation.is_live:
        _make_user(tell)
    models = installation.path(f"{HOME}/models")
    overrides = installation.path(f"{OVERRIDES}/override.conf")
    try:
        models.mkdir(parents=True, exist_ok=True)
        if installation.is_live:
            for folder in (models.parent, models):
                shutil.chown(folder, NAME, NAME)
                folder.chmod(0o755)
        _write(installation.path(UNIT), unit_text(program, groups))
        tell(f"wrote {installation.path(UNIT)}")
        if not overrides.exists():
            _write(overrides, _OVERRIDE)
            tell(f"wrote {overrides}: settings of this machine belong there")
    except (OSError, LookupError) as error:
        raise StoreError(f"cannot install the service: {error}") from None
    if installation.is_live:
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", NAME)
        tell("the service runs; `modelpack service status` tells how it is")


def uninstall(installation: Installation, tell: Callable[[str], None]) -> None:
    """Stop the service and remove its unit; models, overrides and the user stay.

    Raises:
        InputError: we are not root, or it is not installed.
        StoreError: something cannot be removed.
    """
    unit = installation.path(UNIT)
    if installation.is_live:
        _require_root()
    if not unit.exists():
        raise InputError(f"the service is not installed: there is no {unit}")
    if installation.is_live:
        _systemctl("disable", "--now", NAME)
    try:
        unit.unlink()
    except OSError as error:
        raise StoreError(f"cannot remove {unit}: {error.strerror}") from None
    if installation.is_live:
        _systemctl("daemon-reload")
    tell(f"removed {unit}; models stay in {installation.path(HOME)}")


def status() -> tuple[str, str]:
    """Return whether the service is installed and whether it runs, in systemd's words."""
    return _said("is-enabled"), _said("is-active")


def this_program() -> str:
    """Return the program that runs, for the unit.

    Raises:
        InputError: it is not found.
    """
    beside = Path(sys.executable).with_name("modelpack")
    found = str(beside) if beside.is_file() else shutil.which("modelpack")
    if found is None:
        raise InputError("the program modelpack is not on the path", hint="install it first")
    return str(Path(found).absolute())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode())


def _require_root() -> None:
    if os.geteuid():
        raise InputError("a service is installed by root", hint="sudo modelpack service …")
    if shutil.which("systemctl") is None:
        raise InputError("there is no systemd here", hint="run `modelpack serve` another way")


def _known_groups() -> tuple[str, ...]:
    return tuple(name for name in _GROUPS if _has(grp.getgrnam, name))


def _has(look: Callable[[str], object], name: str) -> bool:
    try:
        look(name)
    except KeyError:
        return False
    return True


def _make_user(tell: Callable[[str], None]) -> None:
    if _has(pwd.getpwnam, NAME):
        return
    command = ["useradd", "-r", "-U", "-M", "-d", HOME, "-s", "/bin/false", NAME]
    _run(command)
    tell(f"made the user {NAME}")


def _systemctl(*words: str) -> None:
    _run(["systemctl", *words])


def _said(question: str) -> str:
    try:
        done = subprocess.run(
            ["systemctl", question, NAME], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"{command[0]} failed: {error}") from None
    if done.returncode:
        raise StoreError(f"{' '.join(command)} failed: {done.stderr.strip()[:300]}")
