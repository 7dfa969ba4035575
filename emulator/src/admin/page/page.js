// Shows /state, again every second. Whatever comes from there becomes a text node, never HTML.
"use strict";

const PERIOD_MS = 1000;
const GOOD = new Set(["available", "RUNNING", "Success", "answered"]);
const BAD = new Set(["Failed", "closed", "reset", "callerGone"]);

function element(name, properties, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

function word(text) {
  const kind = GOOD.has(text) ? "good" : BAD.has(text) ? "bad" : "busy";
  return element("span", { className: kind }, text);
}

function faint(text) {
  return element("span", { className: "faint" }, text);
}

function number(value) {
  return { text: value === null || value === undefined ? "" : value.toLocaleString("en"), className: "number" };
}

function code(text) {
  return { text, className: "code" };
}

// For what may be long, and so is broken where it must be.
function long(text) {
  return { text, className: "long" };
}

function longCode(text) {
  return { text, className: "long code" };
}

function when(timestamp) {
  return timestamp.replace("T", " ").replace("Z", "");
}

function bytes(size) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
}

function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB") + "." + String(ms % 1000).padStart(3, "0");
}

function duration(ms) {
  const seconds = Math.round(ms / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

function cell(content) {
  if (content instanceof Node || typeof content === "string") {
    return element("td", {}, content);
  }
  return element("td", { className: content.className }, content.text);
}

// Columns that hold numbers end with "#".
function table(columns, rows) {
  const head = columns.map((name) =>
    name.endsWith("#")
      ? element("th", { className: "number" }, name.slice(0, -1))
      : element("th", {}, name));
  const body = rows.map((row) => element("tr", {}, ...row.map(cell)));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
}

function show(id, total, columns, rows) {
  const section = document.getElementById(id);
  const title = section.querySelector("h2");
  title.querySelector(".count")?.remove();
  const count = rows.length < total ? `${rows.length} of ${total}` : String(total);
  title.append(element("span", { className: "count" }, ` ${count}`));
  section.querySelector(".none").hidden = total > 0;
  section.querySelector(".body").replaceChildren(...(rows.length ? [table(columns, rows)] : []));
}

// Which file lists people have opened, so that they stay open.
const opened = new Set();

function files(context) {
  if (context.fileCount === 0) {
    return faint("none");
  }
  const rows = context.files.map((file) => [longCode(file.path), number(file.size), when(file.modifiedAt)]);
  const rest = context.fileCount - context.files.length;
  if (rest > 0) {
    rows.push([faint(`and ${rest} more`), "", ""]);
  }
  const count = context.fileCount === 1 ? "1 file" : `${context.fileCount} files`;
  const details = element("details", { open: opened.has(context.id) },
    element("summary", {}, `${count}, ${bytes(context.bytes)}`),
    table(["path", "bytes#", "modified (UTC)"], rows));
  details.addEventListener("toggle", () => {
    details.open ? opened.add(context.id) : opened.delete(context.id);
  });
  return details;
}

function labels(session) {
  return Object.entries(session.labels).map(([key, value]) => `${key}=${value}`).join(", ");
}

function mounts(session) {
  return session.mounts.map((mount) => `${mount.contextId} at ${mount.path}`).join(", ");
}

function ended(request) {
  if (request.status === null) {
    return word(request.end === "underWay" ? "under way" : request.end);
  }
  return element("span", { className: request.status < 400 ? "good" : "bad" }, String(request.status));
}

function taskStatus(task) {
  const parts = [word(task.status)];
  if (task.errorMessage) {
    parts.push(` ${task.errorMessage}`);
  }
  if (!task.visible) {
    parts.push(faint(" not shown yet"));
  }
  return element("span", {}, ...parts);
}

function parameters(request) {
  const parts = Object.entries(request.query).map(([key, value]) => `${key}=${value}`);
  const body = JSON.stringify(request.body);
  if (body !== "{}" && body !== "null") {
    parts.push(body);
  }
  const text = parts.join(" ");
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

function render(state) {
  document.getElementById("about").textContent = `${state.version} at ${state.url}`;
  show("contexts", state.contextCount, ["name", "id", "state", "key#", "last used (UTC)", "files"],
    state.contexts.map((context) => [
      long(context.name), code(context.id), word(context.state), number(context.owner), when(context.lastUsedAt),
      files(context),
    ]));
  show("sessions", state.sessionCount, ["id", "status", "key#", "labels", "contexts", "ends when idle in#"],
    state.sessions.map((session) => [
      code(session.id), word(session.status), number(session.owner), long(labels(session)), longCode(mounts(session)),
      { text: duration(session.endsInMs), className: "number" },
    ]));
  show("tasks", state.taskCount, ["started", "type", "status", "path", "context", "session", "took ms#"],
    state.tasks.map((task) => [
      clock(task.startedAtMs), task.taskType, { text: taskStatus(task), className: "long" }, longCode(task.path),
      code(task.contextId), code(task.sessionId), number(task.finishedAtMs === null ? null : task.finishedAtMs - task.startedAtMs),
    ]));
  show("faults", state.faults.length, ["operation", "action", "fired#", "of#", "last request id"],
    state.faults.map((fault) => [
      longCode(fault.operation), longCode(JSON.stringify(fault.action)), number(fault.fired),
      fault.times === null ? { text: "any", className: "number" } : number(fault.times),
      code(fault.requests.at(-1) ?? ""),
    ]));
  const total = Object.values(state.counts).reduce((sum, count) => sum + count, 0);
  show("requests", total, ["received", "operation", "answer", "took ms#", "parameters", "request id"],
    state.requests.toReversed().map((request) => [
      clock(request.receivedAtMs), { text: request.operation, className: "operation code" }, ended(request), number(request.durationMs),
      longCode(parameters(request)), code(request.requestId),
    ]));
}

function tell(live, text) {
  const status = document.getElementById("live");
  status.className = live ? "on" : "off";
  if (status.textContent !== text) {
    status.textContent = text;
  }
}

let before = "";

async function look() {
  try {
    const answer = await fetch("state", { cache: "no-store" });
    const text = await answer.text();
    if (!answer.ok) {
      throw new Error(text);
    }
    const state = JSON.parse(text);
    // All but the clocks: what has not changed is left alone, with what people have marked in it.
    const comparable = JSON.stringify(state, (key, value) =>
      key === "timeMs" ? undefined : key === "endsInMs" ? duration(value) : value);
    if (comparable !== before) {
      render(state);
      before = comparable;
    }
    tell(true, "live");
  } catch {
    tell(false, "not reachable");
  }
  setTimeout(look, PERIOD_MS);
}

look();
