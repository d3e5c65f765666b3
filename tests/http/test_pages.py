"""test_pages.py: what the answers of the status pages carry."""
import hashlib
import pathlib
import re
import unittest

from harness import Answer, Server, request

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "lib" / "http" / "pages"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
ASSETS = [p for p in sorted(FOLDER.iterdir()) if p.suffix in (".css", ".js", ".svg")]
PATHS = [("/", FOLDER / "node.html"), ("/index.html", FOLDER / "node.html"), ("/favicon.ico", FOLDER / "icon.svg")] + \
        [("/assets/" + p.name, p) for p in ASSETS]


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop()[0] == 0

    def get(self, path, method="GET", **headers):
        with self.server.connect() as s:
            s.sendall(request(method, path, headers))
            return Answer(s, method)

    def test_each_file_comes_as_it_is(self):
        self.assertGreaterEqual(len(ASSETS), 6)
        for path, file in PATHS:
            a = self.get(path)
            self.assertEqual((a.status, a.body), (200, file.read_bytes()), path)
            self.assertEqual(a.headers["content-type"], TYPES[file.suffix])
            self.assertEqual(a.headers["etag"], '"%s"' % hashlib.sha256(a.body).hexdigest()[:16])
            self.assertEqual((a.headers["cache-control"], a.headers["referrer-policy"]), ("no-cache", "no-referrer"))
            self.assertEqual(a.headers["x-content-type-options"], "nosniff")
            rules = a.headers["content-security-policy"].split("; ")
            self.assertEqual((rules[0], "frame-ancestors 'none'" in rules), ("default-src 'self'", True))
            self.assertNotIn("unsafe", a.headers["content-security-policy"])

    def test_who_has_the_latest_gets_no_body(self):
        tag = self.get("/").headers["etag"]
        for value in (tag, "W/" + tag, '"other", ' + tag, '"other",W/%s ,"more"' % tag, "*", " , " + tag):
            with self.server.connect() as s:  # nothing of a body stands between two answers
                s.sendall(request("GET", "/", {"If-None-Match": value}) * 2)
                data = b""
                while data.count(b"HTTP/1.1 304") < 2 or not data.endswith(b"\r\n\r\n"):
                    data += s.recv(65536)
            self.assertEqual(data.count(b"HTTP/1.1"), 2, value)
            self.assertIn(b"etag: " + tag.encode(), data)
            self.assertNotIn(b"<html", data)
        for value in ('"other"', tag.strip('"'), tag[:-1], "W/", "w/" + tag, ",", "**"):
            self.assertEqual(self.get("/", **{"If-None-Match": value}).status, 200, value)

    def test_head_and_other_methods_and_paths(self):
        a = self.get("/", "HEAD")
        self.assertEqual((a.status, int(a.headers["content-length"])), (200, (FOLDER / "node.html").stat().st_size))
        self.assertEqual(self.get("/", "DELETE").status, 405)
        for path in ("/assets/", "/assets", "/assets/node.html", "/assets/embed.py", "/assets/../page.css", "/api/assets/page.css", "/page.css"):
            self.assertEqual(self.get(path).status, 404, path)

    def test_files_ask_nobody_else_and_make_no_markup_of_text(self):
        for file in FOLDER.iterdir():
            if file.suffix not in TYPES:
                continue
            text = file.read_text().replace("http://www.w3.org/2000/svg", "")
            self.assertIsNone(re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), file.name)
            if file.suffix == ".html":  # the policy lets no inline script or style run
                self.assertIsNone(re.search(r"<style|style=|\son\w+=|<script(?![^>]*src=)", text), file.name)
            for asset in re.findall(r"(?:src|href)=\"/assets/([^\"]+)|from '\./([^']+)'", text):
                self.assertTrue((FOLDER / (asset[0] or asset[1])).exists(), asset)


if __name__ == "__main__":
    unittest.main(verbosity=2)
