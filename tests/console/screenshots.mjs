// Takes the pictures of src/http/console/README.md, from a running service. Usage: scripts/test_console --screenshots

import { statSync } from "node:fs";
import { join } from "node:path";
import { launch, open, ROOT, Service, TOKEN, until } from "./harness.mjs";

const DIRECTORY = join(ROOT, "tests/console/screenshots");
const LARGEST = 180_000;

// A little traffic, for numbers that live.
function traffic(service) {
  const products = ["PROD-001", "PROD-002", "PROD-003"];
  let count = 0;
  const timer = setInterval(() => {
    // It comes in waves.
    const many = 3 + Math.round(2 * Math.sin(Date.now() / 4_000));
    for (let call = 0; call < many; call += 1) {
      count += 1;
      const body = JSON.stringify({ product_id: products[count % products.length] });
      fetch(`${service.base}/purchasing/flow`, { method: "POST", headers: { "Content-Type": "application/json" }, body }).catch(() => {});
    }
  }, 80);
  return () => clearInterval(timer);
}

async function picture(page, name, options = {}) {
  const path = join(DIRECTORY, `${name}.png`);
  await page.screenshot({ path, animations: "disabled", ...options });
  const { size } = statSync(path);
  console.log(`${name}.png ${Math.round(size / 1000)} kB`);
  if (size > LARGEST) throw new Error(`${name}.png is larger than ${LARGEST / 1000} kB`);
}

const service = await Service.start({ flows: ["graph.yaml", "dense.yaml"] });
const browser = await launch();
const quiet = traffic(service);
try {
  await new Promise((after) => { setTimeout(after, 45_000); });

  const overview = await open(browser, service, "#/overview", { width: 1320, height: 700 });
  await overview.page.locator(".health[data-state=well]").waitFor();
  await overview.page.locator(".ends .writes").first().waitFor();
  await picture(overview.page, "overview");
  await overview.close();

  const flow = await open(browser, service, "#/flow/purchasing/supplier_info", { width: 1440, height: 700 });
  await flow.page.locator(".figures").waitFor();
  await picture(flow.page, "flow");
  await flow.page.setViewportSize({ width: 1440, height: 620 });
  await flow.page.goto(`${service.base}/#/domains`);
  await flow.page.locator(".pill[data-state=ready]").nth(3).waitFor();
  await service.supplier.kill();
  await flow.page.locator(".pill[data-state=down]").waitFor();
  await new Promise((after) => { setTimeout(after, 6_000); });
  await picture(flow.page, "domains");
  await service.supplier.start();
  await flow.page.getByText("4 databases, all ready").waitFor();
  await flow.close();

  quiet();
  const play = await open(browser, service, "#/play/purchasing?product_id=PROD-001&run=1", { width: 1320, height: 1000 });
  await play.page.locator(".verdict[data-kind=success]").waitFor();
  // The first decision is made while the page itself is still being drawn, on the same processors.
  await new Promise((after) => { setTimeout(after, 2_000); });
  const again = play.page.waitForResponse((answer) => answer.url().includes("/purchasing/flow"));
  await play.page.getByRole("button", { name: "Run" }).click();
  await again;
  await new Promise((after) => { setTimeout(after, 1_000); });
  await picture(play.page, "playground");
  const rules = play.page.locator('.of-rules[data-node="create_po"]');
  await rules.scrollIntoViewIfNeeded();
  await rules.screenshot({ path: join(DIRECTORY, "rules.png"), animations: "disabled" });
  await play.page.getByLabel("Number").selectOption("inventory_levels.available_qty");
  await play.page.getByRole("button", { name: "Search" }).click();
  await play.page.locator("#token").fill(TOKEN);
  await play.page.keyboard.press("Enter");
  await play.page.locator(".flip-found li").first().waitFor();
  const flip = play.page.locator("section", { has: play.page.locator("form.flip") }).last();
  await flip.screenshot({ path: join(DIRECTORY, "flip.png"), animations: "disabled" });
  await play.close();

  const dense = await open(browser, service, "#/play/dense?product_id=PROD-001&run=1", { width: 1500, height: 1000 });
  const table = dense.page.locator('.of-rules[data-node="terms"]');
  await table.scrollIntoViewIfNeeded();
  await table.screenshot({ path: join(DIRECTORY, "table.png"), animations: "disabled" });
  await dense.close();

  await fetch(`${service.base}/purchasing/flow`, { method: "POST", headers: { "Content-Type": "application/json", "Idempotency-Key": "monday-17" }, body: '{"product_id":"PROD-002"}' });
  service.first.sql("inventory_db", "UPDATE inventory SET available_qty = available_qty - 40 WHERE product_id = 'PROD-002'");
  const approvals = await open(browser, service, "#/approvals", { width: 1000, height: 760 });
  await approvals.page.getByRole("button", { name: "Show what waits" }).click();
  await approvals.page.locator("#token").fill(TOKEN);
  await approvals.page.keyboard.press("Enter");
  await approvals.page.getByRole("button", { name: "See what has changed" }).click();
  await approvals.page.locator(".changes").waitFor();
  await picture(approvals.page, "approvals");
  await approvals.close();

  const supposed = await open(browser, service, "#/play/purchasing?product_id=PROD-001&run=1", { width: 1320, height: 940, scheme: "dark" });
  await supposed.page.getByRole("button", { name: "Suppose another inventory_levels.available_qty" }).click();
  await supposed.page.getByRole("textbox", { name: "inventory_levels.available_qty" }).fill("2000");
  await supposed.page.getByRole("button", { name: "Re-evaluate" }).click();
  await supposed.page.locator("#token").fill(TOKEN);
  await supposed.page.keyboard.press("Enter");
  await supposed.page.locator(".changes").waitFor();
  await until("the top", () => supposed.page.evaluate(() => { scrollTo(0, 0); return scrollY === 0; }));
  await picture(supposed.page, "what-if");
  await supposed.close();

  const phone = await open(browser, service, "#/play/purchasing?product_id=PROD-003&run=1", { width: 390, height: 844, hasTouch: true, isMobile: true });
  await phone.page.locator(".verdict[data-kind=success]").waitFor();
  await picture(phone.page, "phone");
  await phone.close();
} finally {
  quiet();
  await browser.close();
  await service.stop();
}
