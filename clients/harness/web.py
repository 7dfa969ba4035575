"""Serves the page of docs/grpc-web.md, starts a gateway that allows its origin, and lets tests/web/page.mjs look at it in Chromium."""

import argparse
import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

import tls
from gateway import Gateway
from process import emulator
from world import new_token

ROOT = Path(__file__).resolve().parent.parent.parent


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--programs", type=Path, required=True)
    arguments.add_argument("--work", type=Path, required=True)
    options = arguments.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    text = re.search(r"```html\n(.*?)```", (ROOT / "docs/grpc-web.md").read_text(), re.DOTALL)[1]
    pages = [serve(text.encode()) for _ in range(2)]
    listed, other = (f"http://127.0.0.1:{page.server_address[1]}" for page in pages)
    files = tls.make(options.work / "tls")
    agb, endpoint, _ = emulator(options.programs / "agb-emulator", options.work / "emulator.log")
    gateway = None
    try:
        token, token_file = new_token(options.programs / "agb-gateway", options.work)
        more = f'[server]\ngrpc_web_origins = ["{listed}"]'
        gateway = Gateway(options.programs / "agb-gateway", "web", options.work, endpoint, files, token_file, more)
        with tempfile.TemporaryDirectory() as profile:
            env = {**os.environ, "PROFILE": profile, "TOKEN": token, "SPKI": pin(files.certificate)}
            page = ["node", str(ROOT / "tests/web/page.mjs"), listed, other, f"https://{gateway.address}"]
            sys.exit(subprocess.run(page, env=env, timeout=120).returncode)
    finally:
        if gateway:
            gateway.kill()
        agb.stop()


def serve(text):
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path.startswith("/?")
            self.send_response(200 if found else 404)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text if found else b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def pin(certificate):
    """What tells Chromium that this very key is trusted."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()


if __name__ == "__main__":
    main()
