"""How a service in Python reaches the gateway: TLS, a token, the published service config, and pings."""

import json
import os
from pathlib import Path

import grpc

SERVICE_CONFIG = json.loads(Path(os.environ["AGB_SERVICE_CONFIG"]).read_text())


def connect(target, *, token=os.environ["AGB_TOKEN"], config=SERVICE_CONFIG, compression=None, options=()):
    """A channel to `target`. The token goes along with each call, and only over TLS."""
    tls = grpc.ssl_channel_credentials(Path(os.environ["AGB_CA_FILE"]).read_bytes())
    if token:
        tls = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(token))
    options = {
        "grpc.service_config": json.dumps(config),
        # A name that goes to addresses of its own has to say whom their certificates are for.
        "grpc.ssl_target_name_override": "localhost",
        "grpc.enable_http_proxy": 0,
        **dict(options),
    }
    return grpc.secure_channel(target, tls, options=list(options.items()), compression=compression)
