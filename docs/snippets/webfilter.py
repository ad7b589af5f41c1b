"""Answer webfilters: prevent some enrollments, and put others into another mode."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook  # pip install standardwebhooks

webhook = Webhook(os.environ["WEBHOOK_SECRET"])  # whsec_..., from the webfilter's page in the admin


def decide(question):
    if question["user"]["email"].endswith("@blocked.example.com"):
        return {"exception": {"PreventEnrollment": "Please ask your manager first."}}
    if question["mode"] == "audit":
        return {"data": {"mode": "honor"}}
    return {}


class Service(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            question = webhook.verify(body, dict(self.headers))
        except Exception:
            return self.send_error(401)
        answer = json.dumps(decide(question)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


HTTPServer(("", int(os.environ.get("PORT", "8080"))), Service).serve_forever()
