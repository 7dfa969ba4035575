// The page of docs/grpc-web.md in a real browser: from a listed origin it shows the presets, and from another one it gets nothing.
import assert from "node:assert/strict";

const { chromium } = await import(process.env.PLAYWRIGHT);
const [listed, other, gateway] = process.argv.slice(2);

const browser = await chromium.launchPersistentContext(process.env.PROFILE, {
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    `--ignore-certificate-errors-spki-list=${process.env.SPKI}`,
  ],
});
try {
  const show = async (origin, token) => {
    const page = await browser.newPage();
    const failed = page.waitForEvent("pageerror").then((error) => String(error));
    failed.catch(() => {});
    await page.goto(`${origin}/?gateway=${encodeURIComponent(gateway)}#${token}`);
    const shown = page.locator("#status", { hasText: "status" }).waitFor().then(() => page.locator("#status").textContent());
    shown.catch(() => {});
    return { outcome: await Promise.race([failed, shown]), presets: await page.locator("#presets li").allTextContents() };
  };

  const good = await show(listed, process.env.TOKEN);
  assert.equal(good.outcome, "status 0");
  for (const name of ["development", "production", "read-only", "replica"]) {
    assert.ok(good.presets.includes(name), JSON.stringify(good));
  }
  // Known by its origin, and by no token: gRPC's UNAUTHENTICATED, which the page can read.
  assert.deepEqual(await show(listed, "agbgw_wrong"), { outcome: "status 16", presets: [] });
  const refused = await show(other, process.env.TOKEN);
  assert.match(refused.outcome, /Failed to fetch/);
  assert.deepEqual(refused.presets, []);
  console.log("a page of a listed origin calls the gateway over gRPC-Web, and one of another origin does not");
} finally {
  await browser.close();
}
