"""Droplets of DigitalOcean, by its API v2: https://docs.digitalocean.com/reference/api/."""

from __future__ import annotations

import httpx
import msgspec

from securetag.cloud.http import CloudHttp
from securetag.errors import InputError, NotFoundError
from securetag.records import JsonObject

PAGE_SIZE = 200
#: Bytes that the user data of a droplet may have.
MAX_USER_DATA = 64 * 1024


class Size(msgspec.Struct, frozen=True):
    """A kind of droplet and its list price in USD."""

    slug: str
    price_hourly: float
    price_monthly: float
    regions: list[str]
    available: bool
    memory: int
    vcpus: int


class _Address(msgspec.Struct, frozen=True):
    ip_address: str
    type: str


class _Networks(msgspec.Struct, frozen=True):
    v4: list[_Address] = []


class Droplet(msgspec.Struct, frozen=True):
    """A virtual machine; `status` is new, active, off or archive. It costs in every state."""

    id: int
    name: str
    status: str
    size: Size
    networks: _Networks = _Networks()
    tags: list[str] = []

    @property
    def address(self) -> str | None:
        """The public IPv4 address, once there is one."""
        public = [address.ip_address for address in self.networks.v4 if address.type == "public"]
        return public[0] if public else None


class _Links(msgspec.Struct, frozen=True):
    pages: dict[str, str] = {}


class _Droplets(msgspec.Struct, frozen=True):
    droplets: list[Droplet]
    links: _Links = _Links()


class _OneDroplet(msgspec.Struct, frozen=True):
    droplet: Droplet


class _Sizes(msgspec.Struct, frozen=True):
    sizes: list[Size]
    links: _Links = _Links()


class DigitalOcean:
    """A client with one account's token."""

    def __init__(self, url: str, token: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._http = CloudHttp("DigitalOcean", url, token, variable="DIGITALOCEAN_TOKEN", transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def size(self, slug: str, region: str) -> Size:
        """Return a kind of droplet. Raises InputError where the region doesn't offer it now."""
        page = 1
        while True:
            answer = self._http.read(_Sizes, "GET", "/v2/sizes", per_page=PAGE_SIZE, page=page)
            for size in answer.sizes:
                if size.slug == slug and size.available and region in size.regions:
                    return size
            if "next" not in answer.links.pages:
                raise InputError(
                    f"DigitalOcean has no {slug} in {region}",
                    hint="Set SECURETAG_CLOUD__DROPLET_SIZE and SECURETAG_CLOUD__DROPLET_REGION to what "
                    "`doctl compute size list` has.",
                )
            page += 1

    def droplets(self, tag: str) -> list[Droplet]:
        """Return every droplet with this tag."""
        droplets: list[Droplet] = []
        page = 1
        while True:
            answer = self._http.read(
                _Droplets, "GET", "/v2/droplets", tag_name=tag, per_page=PAGE_SIZE, page=page
            )
            droplets += answer.droplets
            if "next" not in answer.links.pages:
                return droplets
            page += 1

    def create_droplet(self, body: JsonObject) -> Droplet:
        """Create a droplet; it starts as `new` and has no address yet. Raises InputError when refused."""
        if len(body.get("user_data", "").encode()) > MAX_USER_DATA:
            raise InputError(f"the user data is larger than {MAX_USER_DATA} bytes")
        return self._http.read(_OneDroplet, "POST", "/v2/droplets", body=body).droplet

    def delete_droplet(self, droplet_id: int) -> None:
        """Destroy a droplet with its disk; no error where there is none."""
        try:
            self._http.send("DELETE", f"/v2/droplets/{droplet_id}")
        except NotFoundError:
            return
