"""A service that answers for the node `oms_history` by Tributary's contract (src/service/README.md): python3 service.py PORT"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What this service knows. Decimals are text, so that no digit is lost.
DEMAND = {
    "PROD-001": {"product_id": "PROD-001", "avg_daily_demand": "150.00", "trend": "increasing"},
    "PROD-002": {"product_id": "PROD-002", "avg_daily_demand": "80.50", "trend": "stable"},
    "PROD-003": {"product_id": "PROD-003", "avg_daily_demand": "200.00", "trend": "decreasing"},
}
COLUMNS = [
    {"name": "product_id", "type": "text"},
    {"name": "avg_daily_demand", "type": "decimal"},
    {"name": "trend", "type": "text"},
]
DESCRIPTION = {"version": "1", "nodes": {"oms_history": {"params": ["text"], "columns": COLUMNS}}}


def answer(ask):
    if len(ask) != 1 or not isinstance(ask[0], str):
        return {"error": {"code": "bad_parameter", "detail": "the node takes one text"}}
    return {"rows": [DEMAND[ask[0]]] if ask[0] in DEMAND else []}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open
    disable_nagle_algorithm = True

    def reply(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(200, DESCRIPTION) if self.path == "/" else self.reply(404, {"detail": "no such path"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/oms_history":
            return self.reply(404, {"detail": "no such node"})
        try:
            answers = [answer(ask) for ask in json.loads(body)["asks"]]
        except (ValueError, KeyError, TypeError):
            return self.reply(400, {"detail": "the body is not as the contract says"})
        self.reply(200, {"version": DESCRIPTION["version"], "node": "oms_history", "answers": answers})

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
