// Effects that wait for an approval: they are listed, shown with what has changed since, approved and rejected.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { axe, giveToken, post, service, settled, visit } from "./suite.mjs";

const orders = () => Number(service.first.sql("oms_db", "SELECT count(*) FROM purchase_orders"));
const card = (page, id) => page.locator("article.approval").filter({ hasText: id });

// An order that waits; its id.
async function pending() {
  const response = await post("/purchasing/flow", { product_id: "PROD-002" }, service, { "Idempotency-Key": crypto.randomUUID() });
  assert.equal(response.status, 202);
  return (await response.json()).approval.id;
}

async function listed(page) {
  await settled(page);
  await page.getByText("waits if").waitFor();
  await page.getByRole("button", { name: "Show what waits" }).click();
  await giveToken(page);
}

describe("approvals", () => {
  for (const [name, options] of Object.entries({ light: {}, dark: { scheme: "dark" }, phone: { width: 390, height: 844 } })) {
    test(`what waits is shown, and what has not changed is approved (${name})`, async () => {
      const id = await pending();
      const before = orders();
      await visit("#/approvals", async (page) => {
        await listed(page);
        const one = card(page, id);
        await one.getByRole("heading", { name: /^Order 827/ }).waitFor();
        for (const part of ["purchasing", "place_order", "PROD-002", "waits"]) assert.ok((await one.innerText()).includes(part), part);
        assert.equal(await one.getByRole("button", { name: "Approve" }).isVisible(), false, "nobody approves what was not looked at");
        await one.getByRole("button", { name: "See what has changed, and decide" }).click();
        await one.getByText("Nothing has changed since").waitFor();
        await one.getByText("Parameters of its statements").click();
        assert.deepEqual(await axe(page), []);
        await one.getByRole("textbox", { name: "Note" }).fill("within the budget");
        await one.getByRole("button", { name: "Approve" }).click();
        await one.getByText("Approved: the effect was written").waitFor();
        assert.deepEqual(await axe(page), []);
      }, options);
      assert.equal(orders(), before + 1);
      const stored = JSON.parse(service.first.sql("oms_db", `SELECT resolution FROM tributary_keys WHERE decision = '${id}'`));
      assert.equal(stored.note, "within the budget");
    });
  }

  test("what has changed since is seen before it is approved, and what is rejected is not written", async () => {
    const [id, other] = [await pending(), await pending()];
    const before = orders();
    service.first.sql("inventory_db", "UPDATE inventory SET available_qty = available_qty - 10 WHERE product_id = 'PROD-002'");
    try {
      await visit(`#/approvals/${id}`, async (page) => {
        await listed(page);
        const one = card(page, id);
        const changed = one.locator(".changes");
        await changed.filter({ hasText: "purchase_order.order_qty" }).waitFor();
        // A parameter is called by its expression.
        await changed.filter({ hasText: "rule_engine.order_qty $3" }).waitFor();
        assert.match(await one.locator(".since").innerText(), /What has changed since/);
        assert.deepEqual(await axe(page), []);
        await one.getByRole("button", { name: "Approve" }).click();
        await one.getByText("Approved: the effect was written").waitFor();
        const rejected = card(page, other);
        await rejected.getByRole("button", { name: "See what has changed, and decide" }).click();
        await rejected.getByRole("button", { name: "Reject" }).click();
        await rejected.getByText("Rejected: nothing was written").waitFor();
        await page.getByRole("button", { name: "Look again" }).click();
        await page.locator("article.approval").filter({ hasText: other }).waitFor({ state: "detached" });
      });
    } finally {
      service.first.sql("inventory_db", "UPDATE inventory SET available_qty = available_qty + 10 WHERE product_id = 'PROD-002'");
    }
    assert.equal(orders(), before + 1);
  });

  test("an effect that the decision has no more is not approved", async () => {
    const id = await pending();
    const before = orders();
    service.first.sql("inventory_db", "UPDATE inventory SET available_qty = available_qty + 100000 WHERE product_id = 'PROD-002'");
    try {
      await visit(`#/approvals/${id}`, async (page) => {
        await listed(page);
        const one = card(page, id);
        await one.getByText("the decision has this effect no more").waitFor();
        assert.equal(await one.getByRole("button", { name: "Approve" }).isVisible(), false);
        await one.getByRole("button", { name: "Reject" }).click();
        await one.getByText("Rejected: nothing was written").waitFor();
      });
    } finally {
      service.first.sql("inventory_db", "UPDATE inventory SET available_qty = available_qty - 100000 WHERE product_id = 'PROD-002'");
    }
    assert.equal(orders(), before);
  });
});
