"""What keeps bubblewrap from creating a sandbox on this system, and what to do about it."""

from __future__ import annotations

import os
from pathlib import Path

# Numbers of capabilities, from linux/capability.h.
CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21

PROFILE = Path(__file__).with_name("bwrap.apparmor")

APPARMOR = (
    "AppArmor does not let bubblewrap create user namespaces, as on Ubuntu since 23.10. This "
    f"allows it: `sudo install -m 644 {PROFILE} /etc/apparmor.d/bwrap && "
    "sudo apparmor_parser -r /etc/apparmor.d/bwrap`."
)
TOO_OLD = (
    "This bubblewrap is too old: version 0.7 or a later one is needed. Debian has it since 12, "
    "Ubuntu since 23.04: upgrade the system, or install bubblewrap from its sources "
    "(https://github.com/containers/bubblewrap/releases)."
)

# Settings of the system that forbid user namespaces: file, the value that forbids, and the remedy.
SETTINGS = (
    ("/proc/sys/user/max_user_namespaces", "0",
     "This system allows no user namespaces; `sudo sysctl user.max_user_namespaces=10000` does."),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0",
     "Only root may create user namespaces here; with "
     "`sudo sysctl kernel.unprivileged_userns_clone=1` everybody may."),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", APPARMOR),
)  # fmt: skip

IN_A_CONTAINER = (
    "This looks like a container that allows no sandbox in it. Grade outside of it, or start it "
    "with `docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined --security-opt systempaths=unconfined`."
)


def needs_user_namespace() -> bool:
    """Tell whether this process may create other namespaces only in a user namespace of its own.

    That holds for ordinary users, and for root in most containers.
    """
    return os.geteuid() != 0 or not {CAP_SYS_ADMIN, CAP_NET_ADMIN} <= _capabilities()


def advice(reason: str) -> str:
    """Return the most likely remedy, as a sentence; empty if nothing is known to be in the way.

    Parameters
    ----------
    reason : str
        What bubblewrap says.
    """
    if "nknown option" in reason:
        return TOO_OLD
    if needs_user_namespace():
        for file, forbids, remedy in SETTINGS:
            if _content(file) == forbids:
                return remedy
    # AppArmor permits the namespace, but no rights in it.
    if "setting up uid map: Permission denied" in reason:
        return APPARMOR
    return IN_A_CONTAINER if _is_confined() else ""


def _is_confined() -> bool:
    """Tell whether this process has a filter of system calls, or is root without all rights."""
    return _status()["Seccomp"] != "0" or (os.geteuid() == 0 and needs_user_namespace())


def _capabilities() -> set[int]:
    held = int(_status()["CapEff"], 16)
    return {number for number in range(held.bit_length()) if held >> number & 1}


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _content(file: str) -> str | None:
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except OSError:
        return None
