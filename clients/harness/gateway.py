"""A replica of the gateway that can be ended and started again at the same address."""

from pathlib import Path

from process import Process, address_of


class Gateway:
    """One replica: TLS, tokens, and no repetitions of its own, so that those of clients can be counted."""

    def __init__(self, program: Path, name: str, work: Path, endpoint: str, tls, token_file: Path, more: str = ""):
        self._program, self._log = program, work / f"gateway-{name}.log"
        self._config = work / f"gateway-{name}.toml"
        self._settings = f"""
[server]
tls_certificate_file = "{tls.certificate}"
tls_key_file = "{tls.key}"
drain_timeout = "1s"
deadline_reserve = "1s"
[auth]
methods = ["token"]
token_file = "{token_file}"
[agb]
endpoint = "{endpoint}"
max_attempts = 1
[sync]
pace_ceiling = "200ms"
grace = "2m"
[session]
sweep_interval = "0s"
# By this one, callers can tell which replica has answered.
[sync_policies.replica]
description = "{name}"
"""
        if more:
            # Further settings of section `server`.
            self._settings = self._settings.replace("[server]", more, 1)
        self._process = None
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        listen = f'[server]\nlisten = "{self.address}"'
        self._config.write_text(self._settings.replace("[server]", listen, 1))
        command = [str(self._program), "serve", "--config", str(self._config)]
        # Both replicas have one account.
        self._process = Process(command, self._log, {"AGB_API_KEY": "contract"})
        self.address = self._process.line(address_of)

    def kill(self):
        self._process.kill()

    def stop(self):
        self._process.stop()
