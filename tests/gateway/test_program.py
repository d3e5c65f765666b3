"""test_program.py: the gateway program: arguments, settings, ports, signals."""
import json
import os
import signal
import socket
import subprocess
import time
import unittest
import urllib.request

from fake_sidecar import free_port

GOOD = {"CLUSTER_ID": "c", "P2P_NODES": "127.0.0.1:1"}


def run(*args, **env):
    return subprocess.run([os.environ["GATEWAY"]] + list(args), env={k: v for k, v in env.items() if v is not None}, capture_output=True,
                          text=True, timeout=20)


class Program(unittest.TestCase):
    def test_help_and_version(self):
        for arg in ("--help", "-h"):
            out = run(arg)
            self.assertEqual((out.returncode, out.stderr), (0, ""))
            for name in ("CLUSTER_ID", "P2P_NODES", "PROXY_PORT", "PROXY_GRPC_PORT", "API_PORT", "SUBSCRIBER_THRESHOLD", "check-config"):
                self.assertIn(name, out.stdout)
        self.assertRegex(run("--version").stdout, r"^gateway \d+\.\d+\.\d+\n$")
        self.assertEqual(run("dance").returncode, 2)
        self.assertEqual(run("run", "fast").returncode, 2)

    def test_check_config(self):
        out = run("check-config", **GOOD)
        self.assertEqual((out.returncode, out.stderr), (0, ""))
        self.assertIn("PROXY_PORT=:8080\nPROXY_GRPC_PORT=:50051\nAPI_PORT=:8081\nSUBSCRIBER_THRESHOLD=0.1\n", out.stdout)
        out = run("check-config", **dict(GOOD, PROXY_PORT="127.0.0.1:80", PROXY_GRPC_PORT="50052", API_PORT="[::1]:81",
                                         P2P_NODES="a:1, b:2,[::1]:3,", SUBSCRIBER_THRESHOLD="1"))
        self.assertEqual(out.returncode, 0, out.stderr)
        self.assertIn("PROXY_PORT=127.0.0.1:80\nPROXY_GRPC_PORT=:50052\nAPI_PORT=::1:81\n", out.stdout)
        self.assertIn("P2P_NODES=a:1,b:2,[::1]:3\n", out.stdout)

    def test_wrong_settings_are_one_fatal_line_each(self):
        for name, value, rule in (
                ("CLUSTER_ID", None, "must be set"), ("CLUSTER_ID", "a b", "letters"), ("CLUSTER_ID", "x" * 101, "100"),
                ("P2P_NODES", None, "must be set"), ("P2P_NODES", "nowhere", "HOST:PORT"), ("P2P_NODES", "a:0", "HOST:PORT"),
                ("P2P_NODES", "a:65536", "HOST:PORT"), ("P2P_NODES", "a:1,,b:2", "empty item"), ("P2P_NODES", ":1", "HOST:PORT"),
                ("P2P_NODES", "http://a:1", "HOST:PORT"), ("P2P_NODES", "::1:5", "HOST:PORT"), ("P2P_NODES", "a:1x", "HOST:PORT"),
                ("P2P_NODES", ",".join("h%d:1" % i for i in range(65)), "at most 64"),
                ("PROXY_PORT", "0", "port"), ("PROXY_PORT", "65536", "port"), ("PROXY_PORT", "http", "port"),
                ("PROXY_PORT", "localhost:80", "IP address"), ("PROXY_GRPC_PORT", ":99999", "port"), ("PROXY_GRPC_PORT", ":8080", "differ"),
                ("API_PORT", ":8080", "differ from PROXY_PORT"), ("SUBSCRIBER_THRESHOLD", "0", "> 0"), ("SUBSCRIBER_THRESHOLD", "1.01", "<= 1"),
                ("SUBSCRIBER_THRESHOLD", "much", "number"), ("OPTIMUM_MAX_MSG_SIZE", "-1", "whole number"), ("OPTIMUM_MAX_MSG_SIZE", "1M", "whole number"),
                ("LOG_LEVEL", "loud", "debug, info, warn, error"), ("ENABLE_AUTH", "maybe", "true or false"), ("HTTP_THREADS", "0", "1 to 64"),
                ("GRPC_THREADS", "65", "1 to 64"), ("CLIENT_QUEUE_BYTES", "1", "65536"), ("CLIENT_POLICY", "wait", "drop-oldest"), ("NODE_QUEUE_BYTES", "1", "65536"), ("THRESHOLD_NODES", "some", "all, reachable"),
                ("MAX_CLIENTS", "0", "whole number"), ("MAX_SEEN", "1023", "whole number"), ("MAX_CLIENT_TOPICS", "2049", "1 to 2048"), ("MAX_CONNECTIONS", "x", "whole number"), ("REQUEST_TIMEOUT", "0", "whole number"),
                ("DRAIN_MS", "60001", "whole number")):
            for command in ("run", "check-config"):
                with self.subTest("%s=%s" % (name, value)):
                    out = run(command, **dict(GOOD, **{name: value}))
                    lines = [l for l in out.stderr.splitlines() if "fatal" in l]
                    self.assertEqual((out.returncode, len(lines)), (2, 1), out.stderr)
                    self.assertIn(name, lines[0])
                    self.assertIn((value or "is not set")[:60], lines[0])
                    self.assertIn(rule, lines[0])

    def test_wrong_settings_of_tokens_and_tls(self):
        auth = dict(GOOD, ENABLE_AUTH="true", AUTH0_DOMAIN="a.example", AUTH0_AUDIENCE="api")
        for change, name, rule in (
                ({"AUTH0_DOMAIN": None}, "AUTH0_DOMAIN", "must be set when ENABLE_AUTH is true"), ({"AUTH0_DOMAIN": "http://a"}, "AUTH0_DOMAIN", "host name"),
                ({"AUTH0_DOMAIN": "https://"}, "AUTH0_DOMAIN", "host name"), ({"AUTH0_DOMAIN": "u@a"}, "AUTH0_DOMAIN", "host name"),
                ({"AUTH0_DOMAIN": "a b"}, "AUTH0_DOMAIN", "host name"), ({"AUTH0_AUDIENCE": None}, "AUTH0_AUDIENCE", "must be set when ENABLE_AUTH is true"),
                ({"AUTH_CA_FILE": "/nonexistent"}, "AUTH_CA_FILE", "can be read"), ({"AUTH_KEYS_REFRESH": "0"}, "AUTH_KEYS_REFRESH", "1 to 86400"),
                ({"LIMIT_PUBLISH_PER_SEC": "-1"}, "LIMIT_PUBLISH_PER_SEC", "number"), ({"METRICS_AUTH": "some"}, "METRICS_AUTH", "true or false"),
                ({"PROXY_TLS_CERT": "/c"}, "PROXY_TLS_KEY", "must be set when PROXY_TLS_CERT is"),
                ({"PROXY_TLS_KEY": "/k"}, "PROXY_TLS_CERT", "must be set when PROXY_TLS_KEY is")):
            with self.subTest(str(change)):
                out = run("check-config", **dict(auth, **change))
                lines = [l for l in out.stderr.splitlines() if "fatal" in l]
                self.assertEqual((out.returncode, len(lines)), (2, 1), out.stderr)
                self.assertIn(name, lines[0])
                self.assertIn(rule, lines[0])
        out = run("check-config", **auth)
        self.assertEqual(out.returncode, 0, out.stderr)
        self.assertIn("PROXY_TLS_CERT is not set: tokens cross the network in the clear", out.stderr)
        for line in ("ENABLE_AUTH=true", "AUTH0_DOMAIN=a.example", "AUTH0_AUDIENCE=api"):
            self.assertIn("\n%s\n" % line, out.stdout)

    def ports(self):
        return {"PROXY_PORT": "127.0.0.1:%d" % free_port(), "PROXY_GRPC_PORT": "127.0.0.1:%d" % free_port(),
                "API_PORT": "127.0.0.1:%d" % free_port()}

    def test_a_port_in_use(self):
        for name in ("PROXY_PORT", "PROXY_GRPC_PORT", "API_PORT"):
            ports = self.ports()
            with socket.socket() as s:
                s.bind(("127.0.0.1", int(ports[name].split(":")[1])))
                s.listen()
                out = run(**dict(GOOD, **ports))
                self.assertEqual(out.returncode, 1)
                self.assertIn("fatal: %s=%s" % (name, ports[name]), out.stderr)

    def test_lines_about_topics_are_held_back(self):
        """A client can make topics come and go without end; the log says how many there were."""
        ports = self.ports()
        p = subprocess.Popen([os.environ["GATEWAY"]], env=dict(GOOD, LOG_LEVEL="info", **ports), stderr=subprocess.PIPE, text=True)
        while "gateway is up" not in p.stderr.readline():
            self.assertIsNone(p.poll())
        for c in range(10):
            body = json.dumps({"client_id": "c%d" % c, "topics": ["t%d.%d" % (c, i) for i in range(100)]}).encode()
            urllib.request.urlopen("http://%s/subscribe" % ports["PROXY_PORT"], body, timeout=10).close()
        shown = held = 0
        while shown + held < 1000:
            line = p.stderr.readline()
            self.assertIsNone(p.poll())
            shown += 'msg="topic subscribed"' in line
            if "more topics came or went" in line:
                held += int(line.split("lines_left_out=")[1])
        self.assertEqual(shown + held, 1000)
        self.assertLess(shown, 200)  # 10, and one each tenth of a second
        p.terminate()
        self.assertEqual(p.wait(10), 0)
        p.stderr.close()

    def test_signals_end_it_with_0(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            p = subprocess.Popen([os.environ["GATEWAY"]], env=dict(GOOD, **self.ports()), stderr=subprocess.PIPE, text=True)
            while "gateway is up" not in p.stderr.readline():
                self.assertIsNone(p.poll())
            p.send_signal(signal.SIGHUP)
            time.sleep(0.1)
            t = time.monotonic()
            p.send_signal(sig)
            self.assertEqual(p.wait(5), 0)
            self.assertLess(time.monotonic() - t, 3)
            p.stderr.close()


if __name__ == "__main__":
    unittest.main()
