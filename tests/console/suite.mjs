// What all tests of the console share: the service, the browser, and how a page is visited.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before } from "node:test";
import { HOSTILE } from "./flows.mjs";
import { launch, open, Service, TOKEN } from "./harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export let service;
export let browser;

before(async () => {
  service = await Service.start();
  service.supplier.sql("supplier_db", `INSERT INTO suppliers (product_id, supplier_name, unit_price, moq, lead_time) SELECT 'EVIL', convert_from('\\x${Buffer.from(HOSTILE).toString("hex")}', 'UTF8'), unit_price, moq, lead_time FROM suppliers LIMIT 1`);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

// Runs `work` on a page, and fails where the browser complained of anything.
export async function visit(hash, work, { of = service, ...options } = {}) {
  const { page, complaints, close } = await open(browser, of, hash, options);
  try {
    await work(page);
    assert.deepEqual(complaints, []);
    assert.equal(await page.evaluate(() => window.hacked), undefined, "a string of the data was run");
  } finally {
    await close();
  }
}

export const box = (page, id) => page.locator(`.box[data-id="${id}"]`);
export const card = (page, name) => page.locator("article.card").filter({ has: page.getByRole("heading", { name }) });

// Waits until what a view shows first is there.
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector("main h1, main h2") && !document.querySelector("main .shimmer"));
  await page.locator(".connection[data-state=live]").waitFor();
}

export async function run(page, product) {
  await page.getByRole("textbox", { name: "product_id" }).fill(product);
  await page.getByRole("button", { name: "Run" }).click();
  await page.locator(".verdict").filter({ hasText: product }).waitFor();
}

export async function giveToken(page, token = TOKEN) {
  await page.locator("#token").fill(token);
  await page.keyboard.press("Enter");
}

// Posts a decision, as any client does.
export const post = (path, body, of = service, headers = {}) => fetch(`${of.base}${path}`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });

// What axe finds, in words.
export async function axe(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join(" | ")}`);
}
