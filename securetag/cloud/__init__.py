"""Small clients of the clouds that machines are rented from: DigitalOcean (v2) and RunPod (REST v2).

They know no deployment and no training; each method is one request, answered by a typed resource.
"""

from securetag.cloud.digitalocean import DigitalOcean, Droplet, Size
from securetag.cloud.http import CloudHttp
from securetag.cloud.runpod import DEAD_STATES, GpuType, Pod, RunPod, ServerlessEndpoint

__all__ = [
    "DEAD_STATES",
    "CloudHttp",
    "DigitalOcean",
    "Droplet",
    "GpuType",
    "Pod",
    "RunPod",
    "ServerlessEndpoint",
    "Size",
]
