// Decisions: edges with conditions, inputs of every kind, suppositions, times.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TOKEN, until } from "./harness.mjs";
import { axe, box, giveToken, run, service, settled, visit } from "./suite.mjs";

const pressRun = (page) => page.getByRole("button", { name: "Run", exact: true }).click();
const verdict = (page, text) => page.locator(".verdict").filter({ hasText: text });

describe("edges with conditions", () => {
  test("they are dashed, with their conditions apart from each other, and told where they lead", () => visit("#/flow/guarded", async (page) => {
    await settled(page);
    assert.equal(await page.locator(".arrow.conditional").count(), 2);
    const dashes = await page.locator(".arrow.conditional").first().evaluate((line) => getComputedStyle(line).strokeDasharray);
    assert.notEqual(dashes, "none");
    const labels = await page.locator("text.condition").evaluateAll((all) => all.map((label) => ({ text: label.lastChild.textContent, ...label.getBoundingClientRect().toJSON() })));
    assert.deepEqual(labels.map(({ text }) => text.slice(0, 12)).sort(), ["demand.avg_d", "stock.availa"]);
    const [one, other] = labels;
    assert.ok(one.bottom <= other.top || other.bottom <= one.top || one.right <= other.left || other.right <= one.left, "the conditions do not overlap");
    await box(page, "judged").click();
    const panel = page.locator(".panel");
    const part = (name) => panel.locator(".part").filter({ has: page.getByRole("heading", { name, exact: true }) });
    assert.match(await part("Runs if").first().innerText(), /coming from stock\s+stock\.available_qty >= input\.least/);
    assert.equal(await part("Runs if").count(), 2);
    assert.match(await part("Other names").innerText(), /shelf\s+stock/);
    assert.match(await part("Mappings").innerText(), /daily\s+demand\.avg_daily_demand/);
    assert.match(await part("Starts with").innerText(), /margin\s+3/);
    await box(page, "demand").click();
    await panel.getByRole("heading", { name: "demand" }).waitFor();
    assert.match(await part("Answer").innerText(), /coalesced\s+never/);
    assert.deepEqual(await axe(page), []);
  }));

  test("a node that was skipped says why, and stands back", () => visit("#/play/guarded?product_id=PROD-001&least=100000&run=1", async (page) => {
    await verdict(page, "unknown").waitFor();
    await page.locator('.box[data-id="judged"][data-state="skipped"]').waitFor();
    assert.match(await page.locator(".timeline tr.idle").innerText(), /judged\s+skipped: the condition of the edge from stock does not hold.*500/);
    assert.deepEqual(await axe(page), []);
  }));
});

describe("decision tables", () => {
  const cells = (row) => row.locator("th, td").allInnerTexts();

  test("a node shows its table as it is written", () => visit("#/flow/rates/rates", async (page) => {
    await settled(page);
    const panel = page.locator(".panel");
    await panel.getByRole("heading", { name: "Table", exact: true }).waitFor();
    assert.match(await panel.innerText(), /3 rows[\s\S]*Hit policy first/);
    assert.deepEqual(await cells(panel.locator("thead tr")), ["row", "when region", "when qty", "then discount", "note why"]);
    assert.deepEqual(await cells(panel.locator("tbody tr").first()), ["Bulk", "EU", ">= 10", "0.1", "<b>large</b>"]);
    assert.equal(await panel.locator("tr.chosen").count(), 0);
    assert.deepEqual(await axe(page), []);
  }));

  test("a decision marks the row that matched", () => visit("#/play/rates?region=EU&qty=3&run=1", async (page) => {
    await verdict(page, "done").waitFor();
    const part = page.locator(".of-rules .decision-table");
    const chosen = part.locator("tr.chosen");
    assert.equal(await chosen.count(), 1);
    assert.deepEqual((await cells(chosen)).slice(1), ["EU", "-", "0", ""]);
    assert.match(await chosen.locator("th").innerText(), /row 3\s*matched/);
    assert.equal(await part.locator("tbody tr").count(), 3);
    assert.deepEqual(await axe(page), []);
  }));
});

describe("inputs", () => {
  const field = (page, name) => page.locator(`#input-${name}`);

  test("each kind has its control, and goes as what it is", () => visit("#/play/forms", async (page) => {
    await settled(page);
    assert.equal(await field(page, "run").inputValue(), "3", "a default stands there");
    assert.equal(await field(page, "sure").inputValue(), "false");
    await field(page, "size").selectOption("large");
    await field(page, "day").fill("2026-03-01");
    await field(page, "at").fill("2026-03-01T10:00:00+02:00");
    await field(page, "price").fill("12345678901234.50");
    await field(page, "code").fill("AB12");
    await page.getByRole("checkbox", { name: "green" }).check();
    await page.getByRole("checkbox", { name: "red" }).check();
    await field(page, "amounts").fill("1.10, 20000000000000000.25");
    await pressRun(page);
    await verdict(page, "done").waitFor();
    await page.getByText("As JSON").click();
    const json = (await page.locator(".raw pre").innerText()).replace(/\s+/g, " ");
    for (const part of ['"run": 3', '"size": "large"', '"sure": false', '"day": "2026-03-01"', '"price": 12345678901234.50', '"tags": [ "red", "green" ]', '"amounts": [ 1.10, 20000000000000000.25 ]']) assert.ok(json.includes(part), `${part}: ${json}`);
    // An input that is called as the marker of the address stays one.
    assert.match(page.url(), /[?&]run=3&.*run%21=1/);
    assert.deepEqual(await axe(page), []);
    await page.reload();
    await verdict(page, "done").waitFor();
    assert.equal(await page.getByRole("checkbox", { name: "green" }).isChecked(), true);
    assert.equal(await page.getByRole("checkbox", { name: "blue" }).isChecked(), false);
  }));

  test("limits are told before, and what does not keep to them at its field", () => visit("#/play/forms", async (page) => {
    await settled(page);
    assert.match(await page.locator("#input-run-hint").innerText(), /at least 1 · at most 9/);
    assert.match(await page.locator("#input-code-hint").innerText(), /at most 6 characters · matches \[A-Z\]\{2\}\[0-9\]\+/);
    assert.match(await page.locator("#input-at-hint").innerText(), /optional/);
    await field(page, "run").fill("007");
    await field(page, "price").fill("-1");
    await field(page, "code").fill("nothing like it");
    await field(page, "amounts").fill("1, two");
    await pressRun(page);
    await page.locator("#input-run-wrong").filter({ hasText: "whole number" }).waitFor();
    for (const [name, wrong] of Object.entries({ price: /0/, code: /match|characters/, amounts: /number 2 must be a number/, day: /required/ })) {
      assert.match(await page.locator(`#input-${name}-wrong`).innerText(), wrong, name);
    }
    assert.equal(await field(page, "size").getAttribute("aria-invalid"), null);
  }));

  test("an address of the same flow asks anew, and what it leaves out is as at the beginning", () => visit("#/play/purchasing?product_id=PROD-001&run=1", async (page) => {
    await verdict(page, "PROD-001").waitFor();
    await page.evaluate(() => { location.hash = "#/play/purchasing?product_id=PROD-002&run=1"; });
    await verdict(page, "PROD-002").waitFor();
    await page.evaluate(() => { location.hash = "#/play/purchasing"; });
    await page.getByText("Fill in the inputs").waitFor();
    assert.equal(await page.locator("#input-product_id").inputValue(), "");
    assert.equal(await page.locator(".timeline").count(), 0);
  }));

  test("a playground that was left while it was loading decides nothing and leaves the address alone", () => visit("#/domains", async (page) => {
    await settled(page);
    let decided = 0;
    let held = [];
    page.on("request", (request) => { if (request.method() === "POST") decided += 1; });
    await page.route("**/flows/purchasing/graph*", (route) => { held.push(route); });
    await page.evaluate(() => { location.hash = "#/play/purchasing?product_id=PROD-001&run=1"; });
    await until("the picture is asked for", () => held.length === 1);
    await page.evaluate(() => { location.hash = "#/domains"; });
    await page.locator("article.card").first().waitFor();
    await Promise.all(held.map((route) => route.continue()));
    held = [];
    await page.waitForTimeout(500);
    assert.equal(decided, 0);
    assert.match(page.url(), /#\/domains$/);
  }));
});

describe("what if", () => {
  const suppose = (page, fact, value) => page.getByRole("textbox", { name: fact, exact: true }).fill(value);

  test("it is compared with the same inputs, is in the address, and marks its node", () => visit("#/play/purchasing?product_id=PROD-001&run=1", async (page) => {
    await verdict(page, "PROD-001").waitFor();
    await page.getByRole("button", { name: "Suppose another supplier_info.lead_time" }).click();
    await suppose(page, "supplier_info.lead_time", "8");
    await page.getByRole("textbox", { name: "product_id" }).fill("PROD-002");
    await page.getByRole("button", { name: "Re-evaluate" }).click();
    await giveToken(page);
    await page.locator(".changes").waitFor();
    const changes = await page.locator(".changes").innerText();
    assert.ok(!changes.includes("PROD-001") && !/product_id/.test(changes), `the supposition changes no product: ${changes}`);
    assert.equal(await box(page, "supplier_info").evaluate((element) => element.classList.contains("supposed")), true);
    assert.match(page.url(), /set\.supplier_info\.lead_time=8&run=1/);
    const [outcome, told] = [await page.locator(".verdict").boundingBox(), await page.locator(".changes").boundingBox()];
    const graph = await page.locator(".stage").boundingBox();
    assert.ok(outcome.y < told.y && told.y < graph.y, "what changes stands below the outcome");
    assert.deepEqual(await axe(page), []);
    await page.reload();
    await giveToken(page);
    await page.locator(".changes").waitFor();
    assert.equal(await page.locator(".changes").innerText(), changes);
  }));

  test("a search says in words at which value of a number the outcome is another", () => visit("#/play/purchasing?product_id=PROD-001&run=1", async (page) => {
    await verdict(page, "PROD-001").waitFor();
    const number = page.getByLabel("Number", { exact: true });
    assert.equal(await number.locator('option[value="oms_history.trend"]').count(), 0, "a text is not searched");
    await number.selectOption("inventory_levels.available_qty");
    await page.getByRole("button", { name: "Search", exact: true }).click();
    await giveToken(page);
    const found = page.locator(".flip-found");
    await found.locator("li").first().waitFor();
    const [now, higher, lower] = [found.locator("p"), found.locator("li").first(), found.locator("li").last()];
    assert.equal(await now.innerText(), "inventory_levels.available_qty is 500.00: success.");
    assert.match(await higher.innerText(), /Higher: at 1049\.99 still success, at 1050\.00 no_order/);
    assert.match(await lower.innerText(), /Lower: at 0\.00 still success, at -0\.01 error undecided\./);
    assert.deepEqual(await axe(page), []);
    // Around what is supposed.
    await page.getByRole("button", { name: "Suppose another oms_history.avg_daily_demand" }).click();
    await suppose(page, "oms_history.avg_daily_demand", "200");
    await page.getByRole("button", { name: "Re-evaluate" }).click();
    await page.locator(".changes").waitFor();
    await number.selectOption("inventory_levels.available_qty");
    await page.getByRole("button", { name: "Search", exact: true }).click();
    await higher.filter({ hasText: "at 1400.00 no_order" }).waitFor();
    assert.deepEqual(await axe(page), []);
  }));

  test("rows of any number are supposed as a whole", () => visit("#/play/guarded?product_id=PROD-001&run=1", async (page) => {
    await page.locator(".verdict").waitFor();
    assert.match(await page.locator('.facts-of[data-node="offers"]').innerText(), /supplier_name[\s\S]*ABC Supplies/);
    await page.getByRole("button", { name: "Suppose other rows of offers" }).click();
    await suppose(page, "offers", "[]");
    await page.getByRole("button", { name: "Re-evaluate" }).click();
    await giveToken(page);
    await page.locator(".changes").filter({ hasText: "offered" }).waitFor();
    assert.match(await page.locator(".changes").innerText(), /offered\s+true\s+false/);
  }));

  test("the focus stays where somebody works, and what was opened stays open", () => visit("#/play/purchasing?product_id=PROD-001&run=1", async (page) => {
    await verdict(page, "PROD-001").waitFor();
    await page.getByText("As JSON").click();
    await page.locator("details.raw[open]").waitFor();
    await page.getByRole("button", { name: "Suppose another supplier_info.moq" }).click();
    await suppose(page, "supplier_info.moq", "700");
    await page.keyboard.press("Enter");
    await giveToken(page, TOKEN);
    await page.locator(".changes").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "suppose-supplier_info.moq");
    assert.equal(await page.locator("details.raw[open]").count(), 1);
    await page.getByRole("button", { name: "Re-evaluate" }).focus();
    await page.keyboard.press("Enter");
    await page.locator(".deciding").waitFor({ state: "detached" });
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Re-evaluate", "a button that is busy keeps the focus");
  }));
});

describe("times", () => {
  test("the timeline shows what each node waited, queried and decided, in figures and as long", () => visit("#/play/purchasing", async (page) => {
    await settled(page);
    const answered = page.waitForResponse((response) => response.url().includes("/purchasing/flow"));
    await run(page, "PROD-001");
    const { explain } = await (await answered).json();
    const column = (micros) => `${(micros / 1000).toFixed(2)} ms`;
    for (const node of explain.nodes) {
      const row = page.locator(`.timeline tr[data-timed="${node.node}"]`);
      const cells = await row.locator("td.num").allInnerTexts();
      const expected = node.kind === "query" ? [node.start_us, node.wait_us, node.query_us].map(column).concat("") : [column(node.start_us), "", "", column(node.took_us)];
      assert.deepEqual(cells, expected, node.node);
      const [track, bar] = [await row.locator(".track").boundingBox(), await row.locator(".run").boundingBox()];
      const wide = (micros) => (track.width * micros) / explain.took_us;
      assert.ok(Math.abs(bar.x - track.x - wide(node.start_us)) < 3, `${node.node} begins where it began`);
      assert.ok(Math.abs(bar.width - Math.max(wide(node.took_us), 3)) < 3, `${node.node} is as long as it took`);
      if (node.kind === "query") {
        const query = await row.locator(".run .query").boundingBox();
        assert.ok(Math.abs(query.width - (bar.width * node.query_us) / node.took_us) < 3, `${node.node} queried so long`);
      }
    }
    assert.match(await page.locator(".axis").innerText(), /^0 ms/);
  }));
});

describe("hostile strings", () => {
  test("in rules, problems, errors of fields, flow tests and curl they are text", () => visit("#/play/hostile?product_id=EVIL&run=1", async (page) => {
    await page.locator(".verdict[data-kind=success]").waitFor();
    const rules = await page.locator(".of-rules").innerText();
    for (const text of ["<img src=x onerror=window.hacked=1>", "<b>said</b>", "<i>logged</i>", "<u>never</u>", "<s>another</s>"]) assert.ok(rules.includes(text), text);
    await page.getByRole("button", { name: "Save as flow test" }).click();
    assert.ok((await page.getByRole("dialog").innerText()).includes("<img src=x"));
    await page.keyboard.press("Escape");
    const evil = "it's <img src=x onerror=\"window.hacked=2\">$(touch /tmp/hacked)`id`";
    await page.getByRole("textbox", { name: "product_id" }).fill(evil);
    await pressRun(page);
    await page.locator(".verdict[data-kind=problem]").waitFor();
    await page.getByRole("button", { name: "Copy as curl" }).click();
    const command = await until("the clipboard", () => page.evaluate(() => navigator.clipboard.readText()));
    const { execFileSync } = await import("node:child_process");
    const problem = JSON.parse(execFileSync("sh", ["-c", command], { encoding: "utf8" }));
    assert.equal(problem.code, "not_found");
    await page.getByRole("textbox", { name: "product_id" }).fill("<b>!</b>");
    await pressRun(page);
    await page.locator("#input-product_id-wrong").filter({ hasText: /\S/ }).waitFor();
    assert.equal(await page.locator("main img, main script, main b, main i:not(.icon), main u, main s").count(), 0);
    assert.ok(!(await page.locator("body").innerHTML()).includes("\u202e"));
    assert.ok(service.base);
  }));
});
