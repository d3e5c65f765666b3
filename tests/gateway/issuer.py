"""issuer.py: an issuer of tokens on https://localhost, with an authority of its own; it can rotate its keys and go away."""
import base64
import datetime
import hashlib
import hmac
import http.server
import ipaddress
import json
import os
import ssl
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def pem_key(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """Makes certificates for localhost."""

    def __init__(self, folder):
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        cert = self.build(self.name, self.key.public_key(), ca=True)
        self.file = os.path.join(folder, "ca.pem")
        with open(self.file, "wb") as f:
            f.write(cert.public_bytes(serialization.Encoding.PEM))

    def build(self, subject, public, ca=False):
        now = datetime.datetime.utcnow()
        b = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public)
        b = b.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        b = b.not_valid_after(now + datetime.timedelta(days=2)).add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
        if not ca:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            b = b.add_extension(x509.SubjectAlternativeName(names), False)
        return b.sign(self.key, hashes.SHA256())

    def pair(self, common_name):
        """Certificate and key as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self.build(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]), key.public_key())
        return cert.public_bytes(serialization.Encoding.PEM), pem_key(key)

    def files(self, name, pair):
        paths = [os.path.join(self.folder, name + end) for end in (".crt", ".key")]
        for path, text in zip(paths, pair):
            with open(path + ".new", "wb") as f:
                f.write(text)
            os.rename(path + ".new", path)
        return paths


class Issuer:
    def __init__(self, authority):
        self.authority = authority
        self.keys = {}
        self.hits = 0
        self.text = None  # instead of the key set
        self.add("one")
        self.stranger = rsa.generate_private_key(65537, 2048)
        cert, key = authority.files("issuer", authority.pair("issuer"))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.server = None
        self.port = 0
        self.start()

    @property
    def domain(self):
        return "localhost:%d" % self.port

    def add(self, kid):
        self.keys[kid] = rsa.generate_private_key(65537, 2048)

    def jwks(self):
        out = []
        for kid, key in self.keys.items():
            n = key.public_key().public_numbers()
            out.append({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "e": "AQAB", "n": b64(n.n.to_bytes(256, "big"))})
        return json.dumps({"keys": [{"kty": "EC", "kid": "other"}] + out}).encode()

    def start(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.hits += 1
                body = issuer.jwks() if issuer.text is None else issuer.text
                self.send_response(200 if self.path == "/.well-known/jwks.json" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.server = None

    def claims(self, **more):
        out = {"iss": "https://%s/" % self.domain, "aud": ["other", "api"], "sub": "anna", "exp": int(time.time()) + 600,
               "max_publish_per_sec": 1000, "max_publish_per_hour": 1000}
        out.update(more)
        return {k: v for k, v in out.items() if v is not None}

    def body(self, header, claims):
        return b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())

    def token(self, kid="one", alg="RS256", key=None, header=None, **claims):
        """A token as asked for; by default a good one."""
        head = {"alg": alg, "typ": "JWT", "kid": kid}
        head.update(header or {})
        head = {k: v for k, v in head.items() if v is not None}
        body = self.body(head, self.claims(**claims))
        key = key or self.keys.get(kid) or next(iter(self.keys.values()))
        if alg == "none":
            return body + "."
        if alg == "HS256":
            pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            return body + "." + b64(hmac.new(pem, body.encode(), hashlib.sha256).digest())
        md = {"RS256": hashes.SHA256, "RS512": hashes.SHA512}[alg]()
        return body + "." + b64(key.sign(body.encode(), padding.PKCS1v15(), md))


if __name__ == "__main__":
    import sys
    import tempfile
    place = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="issuer-")
    os.makedirs(place, exist_ok=True)
    its = Issuer(Authority(place))
    crt, private = its.authority.files("gateway", its.authority.pair("gateway"))
    print("export ENABLE_AUTH=true AUTH0_DOMAIN=%s AUTH0_AUDIENCE=api AUTH_CA_FILE=%s" % (its.domain, its.authority.file))
    print("export PROXY_TLS_CERT=%s PROXY_TLS_KEY=%s" % (crt, private))
    print("export TOKEN=%s" % its.token(exp=int(time.time()) + 86400, max_publish_per_sec=2, max_publish_per_hour=100), flush=True)
    while True:
        time.sleep(3600)
