// How views look and move: searching, scrolling, widths, addresses, what stays where it is.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { until } from "./harness.mjs";
import { axe, box, card, post, service, settled, visit } from "./suite.mjs";

const clipboard = (page) => until("the clipboard", () => page.evaluate(() => navigator.clipboard.readText()));

describe("searching", () => {
  test("hits are counted, and walked to and fro", () => visit("#/flow/wide", async (page) => {
    await settled(page);
    const search = page.getByRole("searchbox");
    const found = page.locator(".found");
    await search.fill("step_17_");
    await found.filter({ hasText: "10 found" }).waitFor();
    assert.ok(await page.locator(".searching-now .box:not(.hit)").count() > 100);
    assert.deepEqual(await axe(page), []);
    const heading = page.locator(".panel h2");
    const seen = [];
    for (const key of ["Enter", "Enter", "Shift+Enter", "Shift+Enter"]) {
      await search.press(key);
      const text = await found.innerText();
      await until("the details", async () => /^step_17_/.test(await heading.innerText()));
      seen.push(text);
    }
    assert.deepEqual(seen, ["1 of 10", "2 of 10", "1 of 10", "10 of 10"]);
    assert.equal(await page.locator(".searching-now").count(), 0);
    await search.fill("nothing like it");
    await found.filter({ hasText: "none" }).waitFor();
    await search.press("Escape");
    assert.equal(await search.inputValue(), "");
  }));
});

describe("searching beside a decision", () => {
  test("leaves the focus where it is", () => visit("#/play/purchasing?product_id=PROD-001&run=1", async (page) => {
    await page.locator(".verdict").waitFor();
    const search = page.getByRole("searchbox");
    await search.fill("supplier");
    await search.press("Enter");
    await page.locator('.box.chosen[data-id="supplier_info"]').waitFor();
    assert.equal(await search.evaluate((field) => field === document.activeElement), true);
  }));
});

describe("a node's details", () => {
  test("are told and have the focus where a node is chosen, and Escape leads back", () => visit("#/flow/purchasing", async (page) => {
    await settled(page);
    await box(page, "oms_history").focus();
    await page.keyboard.press("Enter");
    await page.locator(".panel h2:focus").filter({ hasText: "oms_history" }).waitFor();
    await page.keyboard.press("Escape");
    await until("the focus", () => page.evaluate(() => document.activeElement.dataset?.id === "oms_history"));
  }));

  test("have their timings again when they are opened again", () => visit("#/flow/purchasing/oms_history", async (page) => {
    await post("/purchasing/flow?explain=true", { product_id: "PROD-001" });
    await page.locator(".figures").waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("Choose a node").waitFor();
    await box(page, "oms_history").click();
    await page.locator(".figures").waitFor({ timeout: 3_000 });
  }));

  test("give the query as it is asked, however it is laid out", () => visit("#/flow/purchasing/supplier_info", async (page) => {
    await settled(page);
    await page.getByRole("button", { name: "Copy" }).click();
    const { nodes } = await (await fetch(`${service.base}/console/flows/purchasing`)).json();
    assert.equal(await clipboard(page), nodes.find(({ id }) => id === "supplier_info").query);
    await page.locator(".copies").filter({ hasText: "Copied" }).waitFor();
    const known = ["SELECT EXTRACT(year FROM d) FROM t", "SELECT 'x FROM y' FROM t -- z FROM q", "SELECT a FROM t WHERE a IS DISTINCT FROM b", "SELECT a FROM t LEFT OUTER JOIN u USING (a) ORDER BY a"];
    const laid = await page.evaluate(async (all) => {
      const { href } = document.querySelector("link[rel=stylesheet]");
      const { laidOut } = await import(href.replace(/[^/]+$/, "code.js"));
      return all.map(laidOut);
    }, known);
    assert.deepEqual(laid, ["SELECT EXTRACT(year FROM d)\nFROM t", "SELECT 'x FROM y'\nFROM t -- z FROM q", "SELECT a\nFROM t\nWHERE a IS DISTINCT FROM b", "SELECT a\nFROM t\nLEFT OUTER JOIN u USING (a)\nORDER BY a"]);
  }));
});

describe("what is left behind", () => {
  test("a flow that was left while it was loading does not come back", () => visit("#/domains", async (page) => {
    await settled(page);
    let held = null;
    await page.route("**/flows/purchasing/graph*", (route) => { held = route; });
    await page.evaluate(() => { location.hash = "#/flow/purchasing/rule_engine"; });
    await until("the picture is asked for", () => held);
    await page.evaluate(() => { location.hash = "#/domains"; });
    await page.locator("article.card").first().waitFor();
    await held.continue();
    await page.waitForTimeout(400);
    await page.keyboard.press("Escape");
    await page.waitForTimeout(200);
    assert.match(page.url(), /#\/domains$/);
  }));

  test("dialogs go with their view, and back and forward lead where one was", () => visit("#/flow/purchasing", async (page) => {
    await settled(page);
    await box(page, "create_po").click();
    await page.locator(".panel h2").filter({ hasText: "create_po" }).waitFor();
    await page.getByRole("link", { name: "Domains" }).click();
    await card(page, "uom_db").getByRole("button", { name: /Restart/ }).click();
    await page.getByRole("dialog").waitFor();
    await page.goBack();
    await page.locator(".panel h2").filter({ hasText: "create_po" }).waitFor();
    assert.equal(await page.getByRole("dialog").count(), 0);
    await page.goBack();
    await page.locator(".panel").getByText("Choose a node").waitFor();
    await page.goForward();
    await page.goForward();
    await page.locator("article.card").first().waitFor();
  }));
});

describe("charts", () => {
  test("keep to their time and leave holes open", () => visit("#/domains", async (page) => {
    await settled(page);
    const drawn = await page.evaluate(async () => {
      const { href } = document.querySelector("link[rel=stylesheet]");
      const { Chart } = await import(href.replace(/[^/]+$/, "chart.js"));
      const chart = new Chart("Rate", { rate: "all" }, { value: (point) => String(point.rate) });
      const now = Date.now();
      const at = [200, 150, 60, 59, 58, 20, 19, 0].map((seconds) => ({ t: now - seconds * 1000, rate: 3.2 }));
      chart.update(at);
      return { path: chart.lines[0].getAttribute("d"), peak: chart.peak.textContent };
    });
    assert.equal(drawn.path.match(/M/g).length, 3, drawn.path);
    assert.ok(!/M-/.test(drawn.path), drawn.path);
    assert.equal(drawn.peak, "4");
    const plot = card(page, "oms_db").locator(".plot").first();
    const { x, y, width, height } = await plot.boundingBox();
    await page.mouse.move(x + width - 2, y + height / 2);
    await plot.locator(".at").filter({ hasText: /^[\d.]+ · \d\d:\d\d:\d\d$/ }).waitFor();
    assert.match(await card(page, "oms_db").locator(".chart-legend").nth(1).innerText(), /p95\s*p50\s*last 2 min/);
  }));
});

describe("room", () => {
  for (const hash of ["#/flow/purchasing", "#/flow/purchasing/create_po", "#/domains", "#/play/purchasing", "#/play/purchasing?product_id=PROD-001&run=1"]) {
    test(`nothing jumps while ${hash} is loading`, () => visit(hash, async (page) => {
      await page.addInitScript(() => {
        window.shifts = [];
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push([entry.value, ...entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 90) ?? String(node))]);
        }).observe({ type: "layout-shift", buffered: true });
      });
      await page.reload();
      await settled(page);
      if (hash.includes("run=1")) await page.locator(".verdict").waitFor();
      await page.waitForTimeout(1_500);
      const shifts = await page.evaluate(() => window.shifts);
      assert.ok(shifts.reduce((sum, [value]) => sum + value, 0) < 0.02, JSON.stringify(shifts));
    }));
  }

  test("a card that the address names comes into sight", () => visit("#/flow/purchasing/uom_conversion", async (page) => {
    await settled(page);
    await page.locator("a.chip.domain").click();
    const wanted = page.locator("article.card.chosen");
    await wanted.waitFor();
    await until("the card", async () => {
      const { y } = await wanted.boundingBox();
      return y >= 0 && y < 500;
    }, 5_000);
    assert.match(await wanted.innerText(), /uom_db/);
  }, { width: 390, height: 600 }));

  test("a wide screen is used, and a finger finds what it means on a phone", async () => {
    await visit("#/flow/purchasing/rule_engine", async (page) => {
      await settled(page);
      const [canvas, last] = [await page.locator(".canvas").boundingBox(), await box(page, "outcome:0").boundingBox()];
      assert.ok(last.x + last.width > canvas.x + canvas.width * 0.9, "the graph fills its place");
      assert.deepEqual(await axe(page), []);
    }, { width: 1920, height: 1080 });
    await visit("#/play/purchasing?product_id=PROD-001&run=1", async (page) => {
      await page.locator(".verdict").waitFor();
      await page.locator(".facts-of").first().waitFor();
      const small = await page.locator("main :is(button, a.button, select, input:not([type=checkbox]), summary)").evaluateAll((all) => all
        .map((element) => ({ text: element.textContent || element.id, height: element.getBoundingClientRect().height }))
        .filter(({ height }) => height > 0 && height < 43.5));
      assert.deepEqual(small, []);
      assert.deepEqual(await axe(page), []);
    }, { width: 390, height: 800, hasTouch: true, isMobile: true });
  });

  test("whoever wants no movement sees none, and a browser that keeps nothing shows the page all the same", () => visit("#/domains", async (page) => {
    await page.addInitScript(() => {
      Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied", "SecurityError"); } });
    });
    await page.reload();
    await settled(page);
    const moving = await page.evaluate(() => document.getAnimations().filter(({ playState }) => playState === "running").length);
    assert.equal(moving, 0);
    await page.getByRole("button", { name: /^Colours/ }).click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
  }, { reducedMotion: "reduce" }));

  test("a link to a decision is copied", () => visit("#/play/purchasing?product_id=PROD-001&run=1", async (page) => {
    await page.locator(".verdict").waitFor();
    await page.getByRole("button", { name: "Copy link" }).click();
    assert.equal(await clipboard(page), `${service.base}/#/play/purchasing?product_id=PROD-001&run=1`);
    await page.locator(".announcer").filter({ hasText: "Copied" }).waitFor();
  }));
});
