// The first view: what the service decides, and whether it is well, before anybody scrolls.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Service } from "./harness.mjs";
import { axe, card, service, settled, visit } from "./suite.mjs";

describe("overview", () => {
  for (const [name, options] of Object.entries({ "a desk": {}, "a dark desk": { scheme: "dark" }, "a phone": { width: 390, height: 844 } })) {
    test(`on ${name} one line says that all is well, and each flow what it decides`, () => visit("", async (page) => {
      await settled(page);
      await page.locator(".health[data-state=well]").filter({ hasText: "all 4 domains answer, and every flow can be decided" }).waitFor();
      const first = page.locator("article.flow-card").first();
      for (const seen of [page.locator(".health"), first.locator(".what"), first.locator(".ends li").first()]) {
        const { y, height } = await seen.boundingBox();
        assert.ok(y + height < (options.height ?? 860), "it is seen without scrolling");
      }
      const purchasing = page.locator("article.flow-card", { has: page.getByRole("heading", { name: "purchasing" }) });
      const said = (await purchasing.innerText()).replace(/\s+/g, " ");
      for (const part of ["Decides whether to order a product, how much, from whom, at what cost", "success Order order_qty from_uom of product_id from supplier_name", "writes place_order to oms_db, after an approval where one is needed", "supplier_db"]) assert.ok(said.includes(part), `${part}: ${said}`);
      assert.deepEqual(await axe(page), []);
      await purchasing.getByRole("link", { name: "See how it decides" }).click();
      await page.locator(".box").first().waitFor();
    }, options));
  }

  test("a domain that is down is told with the flows that it keeps from being decided", () => visit("#/overview", async (page) => {
    await settled(page);
    await service.supplier.kill();
    try {
      const line = page.locator(".health[data-state=unwell]");
      await line.filter({ hasText: /purchasing.* cannot be decided: supplier_db is down/ }).waitFor();
      // Its default stands in for the database there.
      assert.doesNotMatch(await line.innerText(), /guarded/);
      await page.locator("article.flow-card", { has: page.getByRole("heading", { name: "purchasing" }) }).getByText("It cannot be decided while supplier_db does not answer").waitFor();
      assert.deepEqual(await axe(page), []);
    } finally {
      await service.supplier.start();
    }
    await page.locator(".health[data-state=well]").waitFor();
  }));
});

describe("a domain that is a service", () => {
  test("is told from databases, and has a console of its own", async () => {
    const other = await Service.start({ flows: ["graph.yaml"] });
    try {
      const uom = await other.delegate("uom_db");
      await other.end();
      other.environment.UOM_DB_URL = uom;
      await other.serve();
      await visit("#/domains", async (page) => {
        await settled(page);
        await page.getByText("3 databases and 1 service, all ready").waitFor();
        const { host } = new URL(uom);
        assert.match((await card(page, "uom_db").locator(".since").innerText()).replace(/\s+/g, " "), new RegExp(`service ${host}`));
        assert.match(await card(page, "oms_db").locator(".since").innerText(), /PostgreSQL/);
        assert.deepEqual(await axe(page), []);
        await page.getByRole("link", { name: "Overview" }).click();
        await page.locator(".flow-card .chip.domain").filter({ hasText: /uom_db\s*service/ }).waitFor();
      }, { of: other });
      for (const [name, options] of Object.entries({ desk: {}, phone: { width: 390, height: 844 } })) {
        await visit("", async (page) => {
          await settled(page);
          await page.getByRole("heading", { name: "Domains" }).waitFor();
          await card(page, "uom_db").locator(".pill[data-state=ready]").waitFor();
          assert.match(await page.locator(".served").innerText(), /uom_conversion[\s\S]*conversion_factor decimal/, name);
          assert.deepEqual(await page.locator("nav a:visible").allInnerTexts(), ["Domains"]);
          assert.deepEqual(await axe(page), []);
        }, { of: { base: uom }, ...options });
      }
    } finally {
      await other.stop();
    }
  });
});
