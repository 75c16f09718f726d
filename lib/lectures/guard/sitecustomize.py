"""Blocks the network inside Python, where the system allows no network namespace.

At start, before any other code, Python imports a module of this name from the first folder of PYTHONPATH that has
one; `lib.lectures.network` puts this folder there. An audit hook cannot be removed again and sees every socket
that Python opens, from any library. Limits: it does not stop a program that is not Python, nor an extension that
opens sockets in C (such as zmq, which Jupyter uses for its loopback traffic). A namespace stops those as well.
"""

import ipaddress
import os
import sys

_CONNECTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


class NetworkBlocked(PermissionError):
    """Code tried to reach another machine, but the course runs offline."""


def _is_local(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host))
        return address.is_loopback or address.is_unspecified
    except ValueError:
        return False  # a host name, which would need a lookup


def _refuse_network(event: str, arguments: tuple) -> None:
    if event in _CONNECTS:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # anything else is a Unix socket or no address
    elif event in _LOOKUPS:
        host = arguments[0]
    else:
        return
    if not _is_local(host):
        raise NetworkBlocked(f"the network is blocked: refused to reach {host!r}")


if os.environ.get("COURSE_NETWORK") == "guarded":
    sys.addaudithook(_refuse_network)
