"""Send what is due to webhooks, in every process of the api; the database hands out each message once.

A message goes through the egress proxy of the web scans: the host is resolved once, each of its addresses is
checked, and the connection goes to a checked one. No redirect is followed, no body of an answer is read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import ssl
import time
from datetime import UTC, datetime
from functools import cache

import httpx

from securetag.api.services import ApiServices
from securetag.api.webhooks.signing import make_headers
from securetag.db.models import Webhook
from securetag.db.repositories.webhooks import (
    ClaimedDelivery,
    Outcome,
    claim_deliveries,
    record_outcome,
)
from securetag.errors import DatabaseUnavailableError, InputError
from securetag.scanning.web.addresses import Network, parse_endpoint
from securetag.scanning.web.egress import EgressPolicy, EgressProxy
from securetag.system.sealing import SealError, SecretBox
from securetag.system.version import package_version

log = logging.getLogger(__name__)

#: Messages that one process sends at a time; of one webhook one.
MAX_PARALLEL = 16
#: Seconds between two looks for messages.
POLL_S = 2.0
#: Seconds that a receiver has for its answer.
TIMEOUT_S = 10.0
#: Seconds after which a message of a process that died is due again: attempt and both transactions.
LEASE_S = 60.0
#: Seconds before the second attempt; each further one waits four times as long, at most MAX_BACKOFF_S.
BACKOFF_S, BACKOFF_FACTOR, MAX_BACKOFF_S = 30.0, 4.0, 8 * 3_600.0
#: Bytes in both directions, TLS included.
MAX_BYTES = 1 << 20


async def send_for_ever(services: ApiServices) -> None:
    """Send messages as they become due."""
    sending = set[asyncio.Task[None]]()
    try:
        while True:
            try:
                for claimed in await claim_deliveries(services.engine, MAX_PARALLEL - len(sending), LEASE_S):
                    task = asyncio.create_task(_send(services, claimed), name="webhook")
                    sending.add(task)
                    task.add_done_callback(sending.discard)
            except DatabaseUnavailableError as error:
                log.warning("messages of webhooks can't be looked for: %s", error)
            except Exception:
                # Whatever it is, a process that no longer looks would send nothing.
                log.exception("looking for messages of webhooks failed")
            if sending:
                await asyncio.wait(sending, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(POLL_S)
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


async def _send(services: ApiServices, claimed: ClaimedDelivery) -> None:
    try:
        await send(services, claimed)
    except DatabaseUnavailableError as error:
        log.warning("a message of a webhook is sent again: %s", error)
    except Exception:
        log.exception("a message of a webhook can't be sent")


async def send(services: ApiServices, claimed: ClaimedDelivery, *, backoff_s: float = BACKOFF_S) -> None:
    """Send a claimed message and write down how that has ended. Raises DatabaseUnavailableError."""
    async with services.tenant(claimed.tenant_id) as session:
        webhook = await session.get(Webhook, claimed.webhook_id)
    if webhook is None:
        return
    outcome = await post(webhook, claimed, services.settings.private_networks, services.secret_box)
    async with services.tenant(claimed.tenant_id) as session:
        wait_s = compute_wait(claimed.attempt, backoff_s)
        is_given_up = await record_outcome(session, claimed, outcome, wait_s=wait_s)
    result = "delivered" if not outcome.error else "given_up" if is_given_up else "retried"
    services.metrics.webhook_attempts.labels(result).inc()


def compute_wait(attempt: int, backoff_s: float = BACKOFF_S) -> float:
    """Return the seconds after this attempt: a half to the whole of a pause that grows."""
    longest = min(backoff_s * BACKOFF_FACTOR ** (attempt - 1), MAX_BACKOFF_S)
    return longest * random.uniform(0.5, 1.0)


async def post(
    webhook: Webhook,
    claimed: ClaimedDelivery,
    networks: list[Network],
    box: SecretBox,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Outcome:
    """Post a message; the outcome says what was answered, or why nothing was. Nothing is raised."""
    body = json.dumps(claimed.payload, ensure_ascii=False, separators=(",", ":")).encode()
    sealed = [webhook.secret]
    if webhook.previous_secret and webhook.previous_until and webhook.previous_until > datetime.now(UTC):
        sealed.append(webhook.previous_secret)
    try:
        secrets = [box.open(secret) for secret in sealed]
    except SealError as error:
        return Outcome(None, f"the webhook's secret can't be read: {error}")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"Securetag/{package_version()}",
        **make_headers(secrets, str(claimed.id), int(time.time()), body),
    }
    try:
        target = parse_endpoint(webhook.url, networks)
    except InputError as error:
        return Outcome(None, str(error))
    policy = EgressPolicy(
        target,
        networks=networks,
        max_requests=1,
        max_bytes=MAX_BYTES,
        timeout_s=timeout_s,
        connect_timeout_s=timeout_s,
        idle_timeout_s=timeout_s,
    )
    proxy = EgressProxy(policy)
    try:
        async with (
            asyncio.timeout(timeout_s),
            proxy,
            httpx.AsyncClient(proxy=proxy.url, verify=_tls(), trust_env=False, timeout=timeout_s) as client,
            client.stream("POST", webhook.url, content=body, headers=headers) as answer,
        ):
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        if proxy.report.refused:
            return Outcome(None, _describe_refusal(proxy, target.host))
        is_late = isinstance(error, TimeoutError | httpx.TimeoutException)
        return Outcome(
            None, f"no answer within {timeout_s:.0f} s" if is_late else f"no answer ({type(error).__name__})"
        )
    if proxy.report.refused:
        return Outcome(None, _describe_refusal(proxy, target.host))
    if 200 <= status < 300:
        return Outcome(status)
    return Outcome(status, f"the receiver has answered {status}", is_gone=status == 410)


def _describe_refusal(proxy: EgressProxy, host: str) -> str:
    return f"nothing connects to {host}: {', '.join(proxy.report.refused)}"


@cache
def _tls() -> ssl.SSLContext:
    """Reading the authorities takes tens of milliseconds: once a process."""
    return httpx.create_ssl_context(trust_env=True)
