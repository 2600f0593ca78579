"""Small clients of the clouds that machines are rented from: DigitalOcean (v2) and RunPod (REST v2).

They know no deployment and no training; each method is one request, answered by a typed resource.
"""

from securetag.cloud.digitalocean import DigitalOcean, Droplet, Size
from securetag.cloud.http import CloudHttp
from securetag.cloud.runpod import Pod, RunPod, ServerlessEndpoint

__all__ = ["CloudHttp", "DigitalOcean", "Droplet", "Pod", "RunPod", "ServerlessEndpoint", "Size"]
