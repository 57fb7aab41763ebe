// A flow of 17 nodes over four domains: what is drawn and listed can be read, on a desk and on a phone.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { until } from "./harness.mjs";
import { axe, settled, visit } from "./suite.mjs";

const PHONE = { width: 390, height: 844, hasTouch: true, isMobile: true };
const DECIDED = "#/play/dense?product_id=PROD-001&run=1";

const decided = async (page) => {
  await page.locator(".verdict[data-kind=other]").waitFor();
  await page.locator(".facts-of").first().waitFor();
};

// Conditions whose text meets an arrow that is not their own, and arrows of one box that do not begin together.
const drawn = () => {
  const bounds = (text) => {
    const { x, y, width, height } = text.getBBox();
    return { left: x, right: x + width, top: y + 1, bottom: y + height - 3 };
  };
  const arrows = [...document.querySelectorAll("path.arrow")].map((path) => {
    const length = path.getTotalLength();
    const points = Array.from({ length: Math.ceil(length / 2) + 1 }, (_, step) => path.getPointAtLength(Math.min(step * 2, length)));
    return { number: path.dataset.arrow, points, start: path.getAttribute("d").split("C")[0] };
  });
  const texts = [...document.querySelectorAll("text.condition")].map((text) => ({ number: text.dataset.arrow, said: text.lastChild.textContent, ...bounds(text) }));
  const met = texts.flatMap(({ number, said, left, right, top, bottom }) => arrows
    .filter((arrow) => arrow.number !== number && arrow.points.some(({ x, y }) => x > left && x < right && y > top && y < bottom))
    .map((arrow) => `arrow ${arrow.number} runs through “${said}”`));
  return { met, conditions: texts.length, starts: new Set(arrows.map(({ start }) => start)).size, arrows: arrows.length };
};

// Boxes that are not wholly within the canvas, by side.
const outside = () => {
  const canvas = document.querySelector(".canvas").getBoundingClientRect();
  const boxes = [...document.querySelectorAll(".box .frame")].map((frame) => frame.getBoundingClientRect());
  return { above: boxes.filter(({ top }) => top < canvas.top).length, left: boxes.filter(({ left }) => left < canvas.left).length, right: boxes.filter(({ right }) => right > canvas.right + 1).length, below: boxes.filter(({ bottom }) => bottom > canvas.bottom + 1).length };
};

describe("a flow of 17 nodes", () => {
  for (const scheme of ["light", "dark"]) {
    test(`no condition lies on another's arrow, and arrows of one node are bundled, in ${scheme}`, () => visit("#/flow/dense", async (page) => {
      await settled(page);
      const { met, conditions, starts, arrows } = await page.evaluate(drawn);
      assert.deepEqual(met, []);
      assert.equal(conditions, 8);
      assert.equal(starts, 18, "one bundle leaves the inputs and each node");
      assert.ok(arrows > 35, String(arrows));
      assert.deepEqual(await axe(page), []);
    }, { scheme }));
  }

  test("the first view shows all of it, and a phone its top", async () => {
    await visit("#/flow/dense", async (page) => {
      await settled(page);
      assert.deepEqual(await page.evaluate(outside), { above: 0, left: 0, right: 0, below: 0 });
      const title = await page.locator(".box .title").first().boundingBox();
      assert.ok(title.height > 8, `a title is ${title.height} px high`);
    });
    await visit("#/flow/dense", async (page) => {
      await settled(page);
      const { above, left } = await page.evaluate(outside);
      assert.deepEqual({ above, left }, { above: 0, left: 0 });
      const { y } = await page.locator(".canvas").boundingBox();
      assert.ok(y < 400, `the graph begins at ${y}`);
      assert.ok((await page.locator(".box .title").first().boundingBox()).height > 10);
      assert.deepEqual(await axe(page), []);
    }, PHONE);
  });

  test("the node that is chosen stays in sight where its details take a part of the width", () => visit("#/flow/dense", async (page) => {
    await settled(page);
    const outcome = page.locator('.box[data-id="outcome:4"]');
    await outcome.click();
    await page.locator(".panel h2").filter({ hasText: "taken" }).waitFor();
    await until("the outcome in sight", async () => {
      const [canvas, { x, width }] = [await page.locator(".canvas").boundingBox(), await outcome.boundingBox()];
      return x >= canvas.x && x + width <= canvas.x + canvas.width;
    });
  }));
});

describe("a decision over 17 nodes", () => {
  test("all rows of the timeline are seen at once", () => visit(DECIDED, async (page) => {
    await decided(page);
    const region = page.getByRole("region", { name: "Timeline" });
    const { rows, hidden } = await region.evaluate((element) => {
      const { top, bottom } = element.getBoundingClientRect();
      const all = [...element.querySelectorAll("tbody tr")].map((row) => row.getBoundingClientRect());
      return { rows: all.length, hidden: all.filter((row) => row.top < top || row.bottom > bottom + 1).length };
    });
    assert.deepEqual({ rows, hidden }, { rows: 17, hidden: 0 });
  }));

  test("facts of rule nodes open by a marker that shows", () => visit(DECIDED, async (page) => {
    await decided(page);
    const closed = page.locator(".facts-of:not([open])");
    assert.ok(await closed.count() >= 7);
    for (const details of await closed.all()) {
      const marker = await details.locator("summary").evaluate((summary) => {
        const style = getComputedStyle(summary, "::before");
        return { width: parseFloat(style.borderLeftWidth), colour: style.borderLeftColor };
      });
      assert.ok(marker.width >= 5, JSON.stringify(marker));
      assert.notEqual(marker.colour, "rgba(0, 0, 0, 0)");
    }
    const terms = page.locator(".facts-of", { has: page.locator("summary code", { hasText: /^terms$/ }) });
    await terms.locator("summary").click();
    await terms.getByText("priority").waitFor();
  }));

  for (const [name, options] of Object.entries({ "a desk": {}, "a phone": PHONE })) {
    test(`on ${name} no number breaks, and a table that is wider than its place has a bar`, () => visit(DECIDED, async (page) => {
      await decided(page);
      await page.locator(".facts-of:not([open]) summary").first().waitFor();
      await page.evaluate(() => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
      const found = await page.evaluate(() => ({
        broken: [...document.querySelectorAll(".value.number, .value.short, td.num")].filter((element) => element.offsetParent && new Set([...element.getClientRects()].map(({ top }) => Math.round(top))).size > 1).map(({ textContent }) => textContent),
        numbers: document.querySelectorAll(".value.number").length,
        wide: [...document.querySelectorAll(".scroll")].filter((element) => element.scrollWidth > element.clientWidth + 1).map((element) => ({ label: element.ariaLabel, bar: element.offsetHeight - element.clientHeight, tabindex: element.tabIndex })),
        page: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      }));
      assert.deepEqual(found.broken, []);
      assert.ok(found.numbers > 15);
      assert.ok(found.wide.some(({ label }) => label === "The decision table"), JSON.stringify(found.wide));
      for (const { label, bar, tabindex } of found.wide) assert.ok((name === "a phone" || bar >= 8) && tabindex === 0, `${label} has a bar of ${bar} px`);
      assert.equal(found.page, 0, "the page itself does not scroll sideways");
      assert.deepEqual(await axe(page), []);
    }, options));
  }

  test("the row of the table that matched is marked, and in the others the cells that kept them", () => visit(DECIDED, async (page) => {
    await decided(page);
    const table = page.locator('.of-rules[data-node="terms"] .decision-table');
    assert.equal(await table.locator("tr.chosen th bdi").innerText(), "Otherwise");
    const kept = await table.locator("td.kept").evaluateAll((cells) => cells.map((cell) => [cell.parentElement.querySelector("th bdi").textContent, cell.querySelector("code").textContent]));
    assert.deepEqual(kept, [["Large and loyal", "stable"], ["Large and loyal", "< 10"], ["Rising demand", "[100..400]"], ["Slow supplier", "> 10"]]);
    assert.equal(await table.locator("thead th").filter({ hasText: /^rule$/ }).count(), 0, "the name of a row stands there once");
    // A node of one condition is one line.
    assert.ok((await page.locator('.conditions [data-node="eligible"]').boundingBox()).height < 60);
  }));

  test("a phone begins where the answer is", () => visit(DECIDED, async (page) => {
    await decided(page);
    await until("the answer in sight", async () => {
      const { y } = await page.locator(".verdict").boundingBox();
      const top = await page.locator(".top").boundingBox();
      return y >= top.y + top.height - 1 && y < 300;
    });
  }, PHONE));
});

describe("cards of domains", () => {
  for (const width of [1280, 1000, 390]) {
    test(`no number breaks and no legend overlaps at ${width} pixels`, () => visit("#/domains", async (page) => {
      await settled(page);
      await page.locator(".pill[data-state=ready]").nth(3).waitFor();
      const found = await page.evaluate(() => ({
        broken: [...document.querySelectorAll("article .num, article time")].filter((element) => new Set([...element.getClientRects()].map(({ top }) => Math.round(top))).size > 1 || element.offsetHeight > 34).map(({ textContent }) => textContent),
        wide: [...document.querySelectorAll("article .chart-legend, article .pairs")].filter((element) => element.scrollWidth > element.clientWidth + 1).map(({ textContent }) => textContent),
      }));
      assert.deepEqual(found, { broken: [], wide: [] });
      // The role that writes has connections of its own.
      const oms = page.locator("article.card", { has: page.getByRole("heading", { name: "oms_db" }) });
      assert.match((await oms.locator(".pairs").innerText()).replace(/\s+/g, " "), /writing \d+ of \d+ effects waiting 0/);
      assert.doesNotMatch(await page.locator("article.card", { has: page.getByRole("heading", { name: "uom_db" }) }).innerText(), /writing/);
    }, { width, height: 860 }));
  }
});
