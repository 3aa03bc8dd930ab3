# SPDX-License-Identifier: GPL-2.0-or-later
"""The form that a value must have to stand in a domain XML; libvirt's schema has the same."""

import re
from ipaddress import ip_address
from pathlib import PurePosixPath

from xen2kvmd.errors import InvalidSource

_FORMS = {
    "path": (re.compile(r"/.+"), "an absolute path"),
    "device": (re.compile(r"[a-zA-Z0-9_.\-\\:/]+"), "the name of a device"),
    "mac": (re.compile(r"[a-fA-F0-9]{2}(:[a-fA-F0-9]{2}){5}"), "a MAC address"),
    "uuid": (re.compile(r"[a-fA-F0-9]{8}-([a-fA-F0-9]{4}-){3}[a-fA-F0-9]{12}"), "a UUID"),
    "host": (re.compile(r"[a-zA-Z0-9.\-]+"), "an address or a host's name"),
    "number": (re.compile(r"[0-9]{1,5}"), "a number"),
    "prefix": (re.compile(r"[0-9]{1,3}"), "a prefix length"),
    "name": (re.compile(r"[^\n]+"), "a name"),
}
CPUS = re.compile(r"([0-9]+(-[0-9]+)?|\^[0-9]+)(,([0-9]+(-[0-9]+)?|\^[0-9]+))*")


def checked(form: str, value: str, what: str) -> str:
    """Return the value if it has the form, else raise InvalidSource."""
    pattern, meaning = _FORMS[form]
    if pattern.fullmatch(value) or (form == "host" and is_address(value)):
        return value
    raise InvalidSource(f"{what} is '{value}', which is not {meaning}.", hint="See xl.cfg(5).")


def is_address(value: str) -> bool:
    """Whether it is an IP address without a zone."""
    try:
        return "%" not in str(ip_address(value))
    except ValueError:
        return False


def is_path(value: str) -> bool:
    """Whether it is an absolute path."""
    return PurePosixPath(value).is_absolute()
