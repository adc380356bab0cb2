"""Connections to a server: through the proxy of the environment, trusting the authorities that are named."""

from __future__ import annotations

import ipaddress
import os
import ssl
from pathlib import Path
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from rag_evals.rag.errors import ModelError
from rag_evals.rag.llm.http.secrets import Secret
from urllib3.exceptions import HTTPError
from urllib3.util import make_headers, parse_url

CONNECTIONS = 256  # kept open at most; what is called from more threads than that opens new ones


def is_near(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def connections_to(url: str, *, is_near: bool, ca_file: str = "") -> urllib3.PoolManager:
    """Return what opens and keeps connections to the server at `url`.

    Args:
        url: Its address.
        is_near: Whether it is on this machine, where no proxy stands before it.
        ca_file: A file with certificates that are trusted as well; empty for none.

    Raises:
        ModelError: The proxy of the environment, or the file, cannot be used.
    """
    address = parse_url(url)
    trust = _trust(address.scheme, ca_file)
    # A proxy knows nothing of this machine's own servers.
    proxies = {} if is_near or proxy_bypass(address.host or "") else getproxies()
    proxy = proxies.get(address.scheme or "") or proxies.get("all")
    if not proxy:
        return urllib3.PoolManager(1, maxsize=CONNECTIONS, ssl_context=trust)
    try:
        before = parse_url(proxy if "://" in proxy else f"http://{proxy}")
        headers = make_headers(proxy_basic_auth=unquote(before.auth)) if before.auth else {}
        return urllib3.ProxyManager(
            before._replace(auth=None).url,
            1,
            proxy_headers={name: Secret(value) for name, value in headers.items()},
            maxsize=CONNECTIONS,
            ssl_context=trust,
        )
    except (HTTPError, AssertionError):
        # Not shown: there may be a password in it.
        raise ModelError(
            f"the proxy for {address.scheme} in the environment cannot be used: it is no http:// or https:// "
            "address\nCorrect HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or name the host in NO_PROXY."
        ) from None


def _trust(scheme: str | None, ca_file: str) -> ssl.SSLContext | None:
    """Trust the authorities of the environment, or those that Mozilla trusts, and those of `ca_file`."""
    if scheme != "https":
        return None
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where()
    trust = ssl.create_default_context(cafile=None if named or not Path(bundle).is_file() else bundle)
    if ca_file:
        try:
            trust.load_verify_locations(ca_file)
        except OSError as error:
            reason = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
            raise ModelError(
                f"ca_file = {ca_file}: {reason}\n"
                "Name a file with the certificates of your authority, each between BEGIN and END CERTIFICATE."
            ) from None
    return trust
