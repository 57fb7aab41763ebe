"""The official client of the Model Context Protocol for Python against Tributary.

Usage: client.py decide|outage http URL TOKEN
       client.py decide|outage stdio PROGRAM [ARGUMENT...]

It holds every result to the schema that the list of tools has for it, which is the client's own doing. It fails with an assertion.
"""

import asyncio
import os
import sys

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

INPUT = {"product_id": "PROD-001"}
FACT = "inventory_levels.available_qty"
TOOLS = ["purchasing_decide", "purchasing_explain", "purchasing_what_if", "purchasing_flip"]


def server():
    """Where the tools are, as the command line says."""
    kind, target, *rest = sys.argv[2:]
    if kind == "stdio":
        return StdioServerParameters(command=target, args=rest, env=dict(os.environ))
    headers = {"Authorization": f"Bearer {rest[0]}"}
    return streamable_http_client(target, http_client=httpx2.AsyncClient(headers=headers))


async def result(client, tool, arguments):
    """The result of a tool that worked."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    return answer.structured_content


async def decide(client):
    """Decides, asks why, supposes other facts, and searches what would change the decision."""
    listed = (await client.list_tools()).tools
    assert [tool.name for tool in listed] == TOOLS, listed
    assert all(tool.annotations.read_only_hint == (tool.name != TOOLS[0]) and tool.output_schema for tool in listed), listed
    decided = await result(client, "purchasing_decide", INPUT)
    assert decided["status"] == "success", decided
    assert decided["purchase_order"]["order_qty"] == 550, decided
    explained = await result(client, "purchasing_explain", INPUT)
    assert explained["purchase_order"] == decided["purchase_order"], explained
    fired = [rule["rule"] for node in explained["explain"]["nodes"] for rule in node.get("fired", [])]
    assert fired, explained
    supposed = await result(client, "purchasing_what_if", {"input": INPUT, "set": {FACT: 2000}})
    assert (supposed["status"], supposed["what_if"]) == ("no_order", [FACT]), supposed
    flip = await result(client, "purchasing_flip", {"input": INPUT, "facts": [FACT]})
    flip = flip["flips"][0]
    assert (flip["ending"], flip["above"]["first"], flip["above"]["ending"]) == ("success", 1050, "no_order"), flip
    keyed = {**INPUT, "Idempotency-Key": "from-python"}
    written = await result(client, "purchasing_decide", keyed)
    assert written["purchase_order"]["po_number"], written
    again = await client.call_tool("purchasing_decide", keyed)
    assert again.structured_content == written and again.meta["idempotency_replayed"], again
    wrong = await client.call_tool("purchasing_decide", {"product": "PROD-001"})
    assert wrong.is_error and wrong.structured_content["code"] == "invalid_input", wrong


async def outage(client):
    """A database is down: each tool fails, and says which it is and that the call may succeed later."""
    for tool, arguments in [
        ("purchasing_decide", INPUT),
        ("purchasing_explain", INPUT),
        ("purchasing_what_if", {"input": INPUT, "set": {"oms_history.avg_daily_demand": 1}}),
        ("purchasing_flip", {"input": INPUT, "facts": ["oms_history.avg_daily_demand"]}),
    ]:
        answer = await client.call_tool(tool, arguments)
        problem = answer.structured_content
        assert answer.is_error and problem["domain"] == "inventory_db" and problem["retryable"], answer
        assert "purchase_order" not in problem and problem["status"] >= 500, answer


async def main():
    # The revision of the protocol that both sides know best, and the one that began with a handshake.
    for mode in ["auto", "legacy"]:
        async with Client(server(), mode=mode) as client:
            await {"decide": decide, "outage": outage}[sys.argv[1]](client)
            print(f"{' '.join(sys.argv[1:3])}: {client.protocol_version}")


asyncio.run(main())
