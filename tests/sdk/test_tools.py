"""Tools, metrics, and links into a session."""

import json

import httpx
from conftest import create, shell


def test_tools_are_listed_by_image(session):
    listed = session.list_mcp_tools()
    assert listed.success
    tools = {tool.name: tool for tool in listed.tools}
    assert tools["shell"].server and "command" in tools["shell"].input_schema["properties"]
    assert "run_code" in tools
    browser = {tool.name for tool in session.list_mcp_tools(image_id="agb-browser-use-1").tools}
    assert "run_code" not in browser and "shell" in browser
    assert {tool.name for tool in session.tool_list} == set(tools)


def test_a_tool_is_called_by_both_routes(session, shared_agb):
    direct = session.call_mcp_tool("shell", {"command": "echo direct", "timeout_ms": 5000})
    assert direct.success and json.loads(direct.data)["stdout"] == "direct\n"
    again = shared_agb.get(session.session_id).session
    again.link_url = ""
    through_api = again.call_mcp_tool("shell", {"command": "echo api", "timeout_ms": 5000})
    assert through_api.success and json.loads(through_api.data)["stdout"] == "api\n"
    for each in (session, again):
        assert not each.call_mcp_tool("no_such_tool", {}).success


def test_the_direct_route_wants_the_sessions_token(session):
    url = f"{session.link_url}/callTool"
    body = {"tool": "shell", "args": {"command": "true"}, "server": "wuying_shell", "requestId": "r", "token": session.token}
    assert httpx.post(url, json=body, headers={"X-Access-Token": session.token}).status_code == 200
    assert httpx.post(url, json=body, headers={"X-Access-Token": "other"}).status_code == 401
    assert httpx.post(url, json=body).status_code == 401


def test_metrics_are_measured(session):
    measured = session.get_metrics()
    assert measured.success, measured.error_message
    metrics = measured.metrics
    assert metrics.cpu_count >= 1 and 0 <= metrics.cpu_used_pct <= 100
    assert 0 < metrics.mem_used < metrics.mem_total
    before = metrics.disk_used
    shell(session, "head -c 10000000 /dev/zero > /tmp/ten-megabytes")
    after = session.get_metrics().metrics
    assert after.disk_used - before >= 10_000_000 and after.disk_used < after.disk_total
    assert metrics.timestamp


def test_a_link_leads_to_what_listens_in_the_session(session):
    shell(session, "mkdir -p /tmp/linked && echo page > /tmp/linked/index.html")
    shell(session, "cd /tmp/linked && python3 -m http.server 30100 >/tmp/linked.log 2>&1 &")
    link = session.get_link(protocol_type="https", port=30100)
    assert link.success and link.data
    answer = None
    for _ in range(500):
        answer = httpx.get(link.data)
        if answer.status_code == 200:
            break
    assert answer.text == "page\n"
    assert httpx.get(link.data + "none").status_code == 404
    assert httpx.get(link.data.replace("/30100/", "/30101/")).status_code == 403
    assert httpx.get(session.get_link(port=30101).data).status_code == 502


def test_a_link_ends_with_its_session(agb):
    session = create(agb)
    link = session.get_link(port=8000).data
    assert session.delete().success
    assert httpx.get(link).status_code == 404
