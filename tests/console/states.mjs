// What goes wrong, and what is not there: each has a state that was designed.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CALLER, Service, until } from "./harness.mjs";
import { axe, box, card, giveToken, service, settled, visit } from "./suite.mjs";

const problem = (status, code, title) => ({ status, contentType: "application/problem+json", body: JSON.stringify({ status, code, title, detail: `${title}, so it is said.` }) });
const isFlows = (url) => url.pathname === "/flows";

// As when another tab is looked at, and this one again.
const look = (page, away) => page.evaluate((hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}, away);

describe("states", () => {
  test("a service that is not there at first is asked again until it is", () => visit("#/domains", async (page) => {
    await page.route(isFlows, (route) => route.abort());
    await page.reload();
    await page.getByRole("heading", { name: "The service does not answer" }).waitFor();
    await page.getByText("It is tried again by itself").waitFor();
    assert.deepEqual(await axe(page), []);
    await page.unroute(isFlows);
    await page.locator("article.card").nth(3).waitFor();
  }));

  test("an answer that is none is told, and nothing is thrown", () => visit("#/domains", async (page) => {
    await page.route(isFlows, (route) => route.fulfill({ contentType: "application/json", body: "{half" }));
    await page.reload();
    await page.getByRole("heading", { name: "The answer cannot be read" }).waitFor();
  }));

  test("where no flow is served, how to name one is told", () => visit("#/flow", async (page) => {
    await page.route(isFlows, (route) => route.fulfill({ contentType: "application/json", body: '{"flows":[]}' }));
    await page.reload();
    await page.getByRole("heading", { name: "No flow is served" }).waitFor();
    assert.deepEqual(await axe(page), []);
  }));

  test("addresses that name nothing, or are none, say so", () => visit("#/domains/nothing", async (page) => {
    await page.getByText("There is no domain “nothing”").waitFor();
    assert.deepEqual(await axe(page), []);
    for (const [hash, heading] of [["#/flow/%", "There is no flow “%”"], ["#/constructor", "What this service decides: 7 flows"], ["#/flow/purchasing/%E0%A4%A", "%E0%A4%A"]]) {
      await page.evaluate((to) => { location.hash = to; }, hash);
      await page.getByRole("heading", { name: heading, exact: true }).waitFor();
    }
    await page.getByRole("button", { name: "Close the details" }).click();
    await page.locator(".panel").getByText("Choose a node").waitFor();
  }));

  test("an address that changes before flows are known waits for them", () => visit("#/domains", async (page) => {
    let held = null;
    await page.route(isFlows, (route) => { held = route; });
    await page.reload();
    await until("the flows are asked for", () => held);
    await page.evaluate(() => { location.hash = "#/flow/purchasing"; });
    await page.waitForTimeout(200);
    assert.equal(await page.getByText("No flow is served").count(), 0);
    await held.continue();
    await box(page, "rule_engine").waitFor();
  }));

  test("a default that stands in for a database is told with the decision", () => visit("#/domains", async (page) => {
    await settled(page);
    try {
      await service.supplier.kill();
      await card(page, "supplier_db").locator(".pill[data-state=down]").waitFor();
      await page.evaluate(() => { location.hash = "#/play/guarded?product_id=PROD-001&run=1"; });
      await page.locator(".verdict[data-kind=degraded]").filter({ hasText: "A default stood in for offers" }).waitFor();
      await page.locator('.box[data-id="offers"][data-state="degraded"]').waitFor();
      assert.match(await page.locator('.timeline tr[data-timed="offers"]').innerText(), /degraded[\s\S]*ms\s+[\d.]+ ms\s+[\d.]+ ms/);
      assert.deepEqual(await axe(page), []);
    } finally {
      await service.supplier.start();
    }
    await page.evaluate(() => { location.hash = "#/domains"; });
    await card(page, "supplier_db").locator(".pill[data-state=ready]").waitFor({ timeout: 60_000 });
  }));

  test("files that are read again are shown at once, but never over what somebody typed", () => visit("#/flow/forms", async (page) => {
    await settled(page);
    const say = (word) => service.reload("forms.yaml", (text) => text.replace(/flow: forms\n(description: .*\n)?/, `flow: forms\ndescription: ${word}\n`));
    await say("Once");
    await page.locator(".lead").filter({ hasText: "Once" }).waitFor();
    await page.getByRole("link", { name: "Playground" }).click();
    await settled(page);
    await page.locator("#input-price").fill("4.5");
    await say("Twice");
    await page.getByText("files were read again").waitFor();
    assert.equal(await page.locator("#input-price").inputValue(), "4.5");
    assert.deepEqual(await axe(page), []);
    await page.getByRole("button", { name: "Show the new flow" }).click();
    await page.locator(".lead").filter({ hasText: "Twice" }).waitFor();
    assert.equal(await page.locator("#input-price").inputValue(), "4.5", "what was typed is still there");
  }));
});

describe("the stream of events", () => {
  test("is closed while nobody can see the page", () => visit("#/domains", async (page) => {
    await settled(page);
    let [opened, ended] = [0, 0];
    page.on("request", (request) => { if (request.url().endsWith("/events")) opened += 1; });
    page.on("requestfailed", (request) => { if (request.url().endsWith("/events")) ended += 1; });
    await look(page, true);
    await until("the end of the stream", () => ended === 1);
    await page.waitForTimeout(1_500);
    assert.equal(opened, 0);
    assert.equal(await page.locator(".banner").isVisible(), false, "that is no loss");
    await look(page, false);
    await until("a new stream", () => opened === 1);
    await page.locator(".connection[data-state=live]").waitFor();
  }));

  test("that is refused says why, and heals", () => visit("#/domains", async (page) => {
    await settled(page);
    await page.route("**/events", (route) => route.fulfill(problem(503, "overloaded", "Too many listen already")));
    await look(page, true);
    await look(page, false);
    await page.locator(".banner").filter({ hasText: "Too many listen already" }).waitFor();
    await page.unroute("**/events");
    await page.locator(".connection[data-state=live]").waitFor();
    assert.equal(await page.locator(".banner").isVisible(), false);
  }));

  test("asks for a token where the one it had is no longer good, and so does all else", async () => {
    const closed = await Service.start({ flows: ["graph.yaml"], callers: true });
    try {
      await visit("#/domains", async (page) => {
        await giveToken(page, CALLER);
        await settled(page);
        await page.route("**/events", (route) => route.fulfill(problem(401, "unauthorized", "A token is needed")));
        await look(page, true);
        await look(page, false);
        const dialog = page.getByRole("dialog");
        await dialog.getByText("not accepted").waitFor();
        await page.keyboard.press("Escape");
        await page.locator(".banner").filter({ hasText: "A token is needed" }).waitFor();
        assert.deepEqual(await axe(page), []);
        await page.unroute("**/events");
        await page.getByRole("button", { name: "Give a token" }).click();
        await page.locator(".connection[data-state=live]").waitFor();
        // A view that is refused asks as well.
        let refused = 0;
        await page.route("**/console/flows/purchasing", (route) => {
          refused += 1;
          return refused === 1 ? route.fulfill(problem(401, "unauthorized", "A token is needed")) : route.continue();
        });
        await page.getByRole("link", { name: "Flow", exact: true }).click();
        await giveToken(page, CALLER);
        await box(page, "rule_engine").waitFor();
      }, { of: closed });
    } finally {
      await closed.stop();
    }
  });
});

describe("a restart", () => {
  test("with a wrong token that nobody mends leaves nothing behind", () => visit("#/domains", async (page) => {
    await settled(page);
    const uom = card(page, "uom_db");
    const restart = uom.getByRole("button", { name: "Restart uom_db" });
    await restart.focus();
    await page.keyboard.press("Enter");
    await giveToken(page, "not the token");
    await page.getByRole("dialog").getByText("not accepted").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await uom.locator(".switch").waitFor({ state: "hidden" });
    assert.equal(await uom.locator(".last-error").isVisible(), true);
    assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /Restart uom_db/, "the focus is where it was");
    assert.equal(await restart.getAttribute("aria-disabled"), null);
  }));

  test("says of no step that it is done before it is", () => visit("#/domains", async (page) => {
    await settled(page);
    const uom = card(page, "uom_db");
    let held = null;
    await page.route("**/admin/domains/uom_db/restart", (route) => { held = route; });
    await uom.getByRole("button", { name: "Restart uom_db" }).click();
    await giveToken(page);
    await until("the request", () => held);
    assert.deepEqual(await uom.locator(".switch li").evaluateAll((all) => all.map((step) => step.dataset.step)), ["now", "next", "next"]);
    await held.continue();
    await uom.getByText("The old one is gone").waitFor();
    assert.equal(await uom.locator(".switch [data-step=done]").count(), 3);
  }));
});
