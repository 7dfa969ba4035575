// What the page shows while the emulator is used, and that nothing in a name runs.
import assert from "node:assert/strict";
import { parseArgs } from "node:util";

const { chromium } = await import(process.env.PLAYWRIGHT);
const { values, positionals: [api, admin, program] } = parseArgs({
  options: { screenshot: { type: "string" } },
  allowPositionals: true,
});

const HOSTILE = `<img src=x onerror="window.struck = true">`;

async function call(method, path, query = {}, body = undefined) {
  const answer = await fetch(`${api}${path}?${new URLSearchParams(query)}`, {
    method,
    headers: { authorization: "Bearer key" },
    body: body && JSON.stringify(body),
  });
  const envelope = await answer.json();
  assert.equal(envelope.success, true, JSON.stringify(envelope));
  return envelope.data;
}

const context = async (name) => (await call("GET", "/sdk/GetContext", { name, allowCreate: "true" })).id;

const browser = await chromium.launchPersistentContext(process.env.PROFILE, {
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
  viewport: { width: 1200, height: 1000 },
});
try {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(admin);
  await page.locator("#live.on").waitFor();
  const loaded = await page.evaluate(() => { window.sameDocument = true; return performance.timeOrigin; });

  // Each of these is waited for on the open page: it has to come by itself.
  const see = (section, text) => page.locator(`#${section}`).getByText(text).first().waitFor();
  await page.locator("#contexts .none").waitFor();

  const id = await context("shared-data");
  await see("contexts", "shared-data");
  await see("contexts", id);

  const policy = JSON.stringify({ uploadPolicy: { autoUpload: true } });
  const { sessionId } = await call("POST", "/mcp/createSession", { imageId: "agb-code-space-1" }, {
    labels: JSON.stringify({ team: "<b>a</b>" }),
    persistenceDataList: [{ contextId: id, path: "/home/data", policy }],
  });
  await see("sessions", sessionId);
  await see("sessions", "team=<b>a</b>");
  await see("tasks", "download");
  const write = { path: "/home/data/<i>report.csv", content: "a,b\n", mode: "overwrite" };
  const written = await call("POST", "/mcp", {}, { sessionId, name: "write_file", args: JSON.stringify(write) });
  assert.equal(written.isError, false, JSON.stringify(written));
  await call("POST", "/sdk/SyncContext", { sessionId }, {});
  await page.locator("#tasks tr", { hasText: "upload" }).getByText("Success").waitFor();

  // Opened once, a list of files stays open while the rest changes.
  await page.locator("#contexts summary").click();
  await see("contexts", "/home/data/<i>report.csv");
  await context(HOSTILE);
  await see("contexts", HOSTILE);
  assert.equal(await page.locator("#contexts details[open]").count(), 1);

  await fetch(`${admin}/faults`, {
    method: "POST",
    body: JSON.stringify({ operation: "ListSession", times: 2, action: { respond: { status: 503, body: HOSTILE } } }),
  });
  await see("faults", "ListSession");
  await fetch(`${api}/sdk/ListSession?labels=${encodeURIComponent(HOSTILE)}`, { headers: { authorization: "Bearer key" } });
  await see("requests", "503");
  await see("requests", `labels=${HOSTILE}`);

  // The names are there as text, and only as text.
  assert.equal(await page.locator("main img, main b, main i").count(), 0);
  assert.equal(await page.evaluate(() => window.struck), undefined);
  assert.equal(await page.evaluate(() => window.sameDocument), true);
  assert.equal(await page.evaluate(() => performance.timeOrigin), loaded);
  assert.deepEqual(errors, []);
  if (values.screenshot) {
    await page.screenshot({ path: values.screenshot, fullPage: true });
  }

  await fetch(`${admin}/reset`, { method: "POST" });
  await page.locator("#contexts .none").waitFor();
  assert.equal(await page.locator("#contexts tr").count(), 0);
  process.kill(Number(program));
  await page.locator("#live.off").waitFor();
  console.log("the page shows what happens, as it happens, and runs nothing of it");
} finally {
  await browser.close();
}
