// Decisions that are written: only when somebody says so, once, and it is told what became of them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { axe, giveToken, post, run, service, settled, visit } from "./suite.mjs";

const orders = () => Number(service.first.sql("oms_db", "SELECT count(*) FROM purchase_orders"));
const PLAY = "#/play/purchasing";
const box = (page) => page.getByRole("checkbox", { name: /Write the decision/ });
const field = (page) => page.getByRole("textbox", { name: "Idempotency-Key" });
const write = (page) => page.getByRole("button", { name: "Run and write" });
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("writing", () => {
  test("nothing is written, and no key is sent, unless the switch is on", () => visit(PLAY, async (page) => {
    await settled(page);
    const keys = [];
    page.on("request", (request) => { if (request.method() === "POST") keys.push(request.headers()["idempotency-key"]); });
    const before = orders();
    assert.equal(await box(page).isChecked(), false);
    await page.getByText("Off: decisions are shown, and nothing is written.").waitFor();
    await run(page, "PROD-001");
    assert.equal(await page.locator(".badge.wrote").count(), 0);
    await box(page).check();
    await box(page).uncheck();
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.waitForFunction(() => !document.querySelector(".deciding"));
    assert.deepEqual(keys, [undefined, undefined]);
    assert.equal(orders(), before);
  }));

  test("the switch says what is written where, places one order, and is off again", () => visit(PLAY, async (page) => {
    await settled(page);
    const before = orders();
    await page.getByRole("textbox", { name: "product_id" }).fill("PROD-001");
    await box(page).check();
    const key = await field(page).inputValue();
    assert.match(key, UUID);
    const said = await page.locator(".placing").innerText();
    for (const part of ["success writes place_order to oms_db", "announces purchase_order.placed", "create_po.approval_status =="]) assert.ok(said.includes(part), said);
    assert.deepEqual(await axe(page), []);
    await write(page).click();
    await page.locator('.badge.wrote[data-word="written"]').waitFor();
    assert.match(await page.locator(".wrote-note").innerText(), /Written: place_order, with the key/);
    assert.match(await page.locator(".answer").innerText(), /PO-\d{6}/);
    assert.equal(orders(), before + 1);
    assert.equal(await box(page).isChecked(), false);
    await box(page).check();
    assert.notEqual(await field(page).inputValue(), key);
    assert.doesNotMatch(page.url(), new RegExp(key));
    // The same key once more.
    await field(page).fill(key);
    await write(page).click();
    await page.locator('.badge.wrote[data-word="replayed"]').waitFor();
    assert.match(await page.locator(".wrote-note").innerText(), /stored answer of an earlier request with this key, decision [0-9a-f-]{36}\. Nothing was written now/);
    assert.equal(orders(), before + 1);
    assert.deepEqual(await axe(page), []);
  }));

  test("an order that waits for approval is shown as such", () => visit(PLAY, async (page) => {
    await settled(page);
    const before = orders();
    await page.getByRole("textbox", { name: "product_id" }).fill("PROD-002");
    await box(page).check();
    await write(page).click();
    await page.locator('.badge.wrote[data-word="waits for approval"]').waitFor();
    assert.match(await page.locator(".wrote-note").innerText(), /Nothing is written yet\. The effect waits for the approval [0-9a-f-]{36}/);
    assert.equal(orders(), before);
  }));

  test("a key that belongs to other inputs is refused in words", () => visit(PLAY, async (page) => {
    await settled(page);
    await page.getByRole("textbox", { name: "product_id" }).fill("NONE");
    for (const [product, told] of [["NONE", "This answer is kept with the key."], ["PROD-001", "Nothing was written."]]) {
      await page.getByRole("textbox", { name: "product_id" }).fill(product);
      await box(page).check();
      await field(page).fill("a key of two");
      await write(page).click();
      await page.locator(".wrote-note").filter({ hasText: told }).waitFor();
      await page.locator(".verdict").filter({ hasText: product === "NONE" ? "not_found" : "key_reused" }).waitFor();
    }
  }));

  test("a decision with facts replaced is never written", () => visit(`${PLAY}?product_id=PROD-001&set.inventory_levels.available_qty=600`, async (page) => {
    await settled(page);
    assert.equal(await box(page).isDisabled(), true);
    await page.getByText("A decision with facts replaced is never written.").waitFor();
    await page.getByRole("button", { name: "Re-evaluate" }).click();
    await giveToken(page);
    await page.locator(".changes").waitFor();
    await page.getByRole("button", { name: "Do not suppose inventory_levels.available_qty" }).click();
    assert.equal(await box(page).isDisabled(), false);
  }));

  test("a flow without effects has no switch, and the panel lists the effects of one that has", () => visit("#/play/wide", async (page) => {
    await settled(page);
    assert.equal(await box(page).count(), 0);
    await page.goto(`${service.base}/#/flow/purchasing`);
    const panel = page.locator(".panel");
    await panel.getByRole("heading", { name: "What decisions write" }).waitFor();
    const text = await panel.innerText();
    for (const part of ["place_order", "oms_db", "INSERT INTO purchase_orders", "purchase_order.placed", "create_po.approval_status =="]) assert.ok(text.includes(part), `${part}: ${text}`);
    assert.deepEqual(await axe(page), []);
    await page.goto(`${service.base}/#/flow/purchasing/outcome%3A0`);
    await panel.getByRole("heading", { name: "Writes" }).waitFor();
    assert.deepEqual(await axe(page), []);
  }));

  test("the service is asked again with the same key where it did not answer", () => visit(PLAY, async (page) => {
    await settled(page);
    await page.getByRole("textbox", { name: "product_id" }).fill("PROD-001");
    await box(page).check();
    const [key, before] = [await field(page).inputValue(), orders()];
    // The order is placed, and its answer is lost.
    await page.route("**/purchasing/flow?explain=true", async (route) => {
      await post("/purchasing/flow", { product_id: "PROD-001" }, service, { "Idempotency-Key": route.request().headers()["idempotency-key"] });
      await route.abort();
    }, { times: 1 });
    await write(page).click();
    await page.locator(".wrote-note").filter({ hasText: "Run it again with the same key" }).waitFor();
    assert.equal(await field(page).inputValue(), key);
    await write(page).click();
    await page.locator('.badge.wrote[data-word="replayed"]').waitFor();
    assert.equal(orders(), before + 1);
  }));
});
