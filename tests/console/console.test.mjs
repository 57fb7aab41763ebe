// The console in a real browser, against the real program on real databases.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { CALLER, open, Service, TOKEN, until } from "./harness.mjs";
import { axe, box, browser, card, giveToken, post, run, service, settled, visit } from "./suite.mjs";
import "./approvals.mjs";
import "./decisions.mjs";
import "./dense.mjs";
import "./overview.mjs";
import "./states.mjs";
import "./views.mjs";
import "./writes.mjs";

const VIEWS = {
  overview: "#/overview",
  approvals: "#/approvals",
  dense: "#/flow/dense/terms",
  "dense decided": "#/play/dense?product_id=PROD-001&run=1",
  flow: "#/flow/purchasing",
  query: "#/flow/purchasing/supplier_info",
  rules: "#/flow/purchasing/create_po",
  outcome: "#/flow/purchasing/outcome%3A0",
  domains: "#/domains",
  playground: "#/play/purchasing",
  decided: "#/play/purchasing?product_id=PROD-001&run=1",
  problem: "#/play/purchasing?product_id=NONE&run=1",
  missing: "#/flow/nothing",
};

describe("flow", () => {
  test("a node shows its query, where its parameters come from, and its last timings", () => visit(VIEWS.flow, async (page) => {
    await fetch(`${service.base}/purchasing/flow?explain=true`, { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"product_id":"PROD-001"}' });
    await box(page, "supplier_info").click();
    const panel = page.locator(".panel");
    await panel.getByRole("heading", { name: "supplier_info" }).waitFor();
    assert.match(page.url(), /#\/flow\/purchasing\/supplier_info$/);
    assert.match(await panel.locator("pre").innerText(), /FROM suppliers\s+WHERE product_id = \$1/);
    assert.ok(await panel.locator(".t-keyword").count() > 3, "SQL is coloured");
    assert.match(await panel.locator("table").first().innerText(), /\$1\s+input\.product_id/);
    await panel.locator(".figures").filter({ hasText: "querying" }).filter({ hasText: "ms" }).waitFor();
    assert.match(await box(page, "supplier_info").locator(".timing").textContent(), /ms$/);
  }));

  test("a node of rules shows what they are, and a click on one where it stands", () => visit(VIEWS.rules, async (page) => {
    const panel = page.locator(".panel");
    await panel.getByRole("button", { name: "Needs approval" }).click();
    const marked = panel.locator(".marked");
    assert.match(await marked.innerText(), /rule "Needs approval"/);
    assert.ok(await panel.locator(".numbered .t-keyword").count() > 10, "GRL is coloured");
    const reads = panel.locator(".part").filter({ has: page.getByRole("heading", { name: "Reads", exact: true }) });
    assert.ok((await reads.innerText()).includes("rule_engine.order_qty"), "what it reads is listed");
  }));

  test("an outcome and the inputs have their details, and an address that names none says so", () => visit(VIEWS.outcome, async (page) => {
    const panel = page.locator(".panel");
    await panel.getByRole("heading", { name: "success" }).waitFor();
    assert.match(await panel.innerText(), /create_po\.should_create_po/);
    await box(page, "input").click();
    await panel.getByText("The product to decide about").waitFor();
    await page.goto(`${service.base}/#/flow/purchasing/no_such_node`);
    await panel.getByText("no node of this name").waitFor();
  }));

  test("200 nodes are found, zoomed and moved", () => visit("#/flow/wide", async (page) => {
    await settled(page);
    assert.ok(await page.locator(".box").count() > 200);
    await page.keyboard.press("/");
    await page.keyboard.type("step_17_4");
    await page.locator(".found").filter({ hasText: "1 found" }).waitFor();
    await page.keyboard.press("Enter");
    await page.locator(".panel").getByRole("heading", { name: "step_17_4" }).waitFor();
    assert.equal(await page.locator(".searching-now").count(), 0, "what was not looked for is there again");
    const place = await box(page, "step_17_4").boundingBox();
    const canvas = await page.locator(".canvas").boundingBox();
    assert.ok(place.x >= canvas.x && place.x + place.width <= canvas.x + canvas.width, "what was found is in sight");
    assert.ok(place.height > 20, `what was found can be read, ${place.height} px high`);
    await page.getByRole("button", { name: "Zoom in" }).click();
    assert.ok((await box(page, "step_17_4").boundingBox()).height > place.height);
    const before = await box(page, "step_17_4").boundingBox();
    await page.mouse.move(canvas.x + 30, canvas.y + canvas.height - 20);
    await page.mouse.down();
    await page.mouse.move(canvas.x + 130, canvas.y + canvas.height - 60, { steps: 4 });
    await page.mouse.up();
    const moved = await box(page, "step_17_4").boundingBox();
    assert.ok(Math.abs(moved.x - before.x - 100) < 3 && Math.abs(moved.y - before.y + 40) < 3, "it follows the pointer");
    // The small map leads to the other end; once all is in sight there is no need of it.
    const map = await page.locator(".map.needed").boundingBox();
    await page.mouse.click(map.x + map.width - 3, map.y + map.height / 2);
    await until("the outcomes", async () => {
      const { x } = await box(page, "outcome:0").boundingBox();
      return x > canvas.x && x < canvas.x + canvas.width;
    });
    await page.getByRole("button", { name: "Show all" }).click();
    assert.equal(await page.locator(".map").isVisible(), false);
  }));

  test("a decision over 200 nodes is taken apart all the same", () => visit("#/play/wide?amount=50&run=1", async (page) => {
    await page.locator(".verdict").filter({ hasText: "low" }).waitFor();
    assert.equal(await page.locator(".timeline tbody tr").count(), 200);
    await box(page, "step_0_0").focus();
    await page.keyboard.press("Enter");
    await page.locator('.conditions [data-node="step_0_0"]').filter({ hasText: "true" }).waitFor();
    assert.deepEqual(await axe(page), []);
  }));

  test("another flow is chosen by its name", () => visit(VIEWS.flow, async (page) => {
    await page.getByRole("combobox", { name: "Flow" }).selectOption("wide");
    await page.getByRole("heading", { name: "wide" }).waitFor();
  }));
});

describe("playground", () => {
  const products = { "PROD-001": ["550", "9207.00"], "PROD-002": ["827", "22329.00"], "PROD-003": ["4050", "168289.65"] };
  for (const [product, [quantity, total]] of Object.entries(products)) {
    test(`${product} is decided, to the last digit, with all that led to it`, () => visit(VIEWS.playground, async (page) => {
      await settled(page);
      await run(page, product);
      const answer = page.locator(".answer");
      const value = (field) => answer.locator("tr").filter({ has: page.locator("th", { hasText: new RegExp(`^${field}$`) }) }).locator("td").first().innerText();
      assert.equal(await value("order_qty"), quantity);
      assert.equal(await value("grand_total"), total);
      assert.equal(await page.locator(".timeline tbody tr").count(), 7);
      assert.equal(await page.locator('.verdict-place [data-kind="success"]').count(), 1);
      assert.equal(await box(page, "create_po").getAttribute("data-state"), "done");
      assert.equal(await page.locator('.box.outcome[data-state="done"]').getAttribute("data-id"), "outcome:0");
      assert.ok(await page.locator(".arrow.ran").count() > 5 && await page.locator(".arrow.idle").count() > 0, "the path is lit");
      const rules = page.locator('.of-rules[data-node="create_po"]');
      assert.match(await rules.locator(".fired").innerText(), /Tax[\s\S]*grand_total\s*unset\s*→\s*[\d.]+/);
      assert.match(await rules.locator(".not-fired").innerText(), /total_amount [\d.]+ (>=|<|>|<=) \d+/);
      assert.match(page.url(), new RegExp(`product_id=${product}&run=1`));
    }));
  }

  test("an unknown product is a problem that names node and domain", () => visit(VIEWS.problem, async (page) => {
    const outcome = page.locator(".verdict[data-kind=problem]");
    await outcome.waitFor();
    assert.match(await outcome.innerText(), /not_found[\s\S]*oms_history[\s\S]*oms_db/);
    await page.locator('.box[data-id="oms_history"][data-state="failed"]').waitFor();
  }));

  test("an input that does not fit is told at its field", () => visit("#/play/wide", async (page) => {
    await settled(page);
    await page.getByRole("textbox", { name: "amount" }).fill("many");
    await page.getByRole("button", { name: "Run" }).click();
    await page.locator("#input-amount-wrong").filter({ hasText: "must be a whole number of 64 bits" }).waitFor();
    assert.equal(await page.getByRole("textbox", { name: "amount" }).getAttribute("aria-invalid"), "true");
  }));

  test("a fact is supposed otherwise, with the token, and what changes is shown", () => visit(VIEWS.decided, async (page) => {
    await page.locator(".verdict[data-kind=success]").waitFor();
    await page.getByRole("button", { name: "Suppose another inventory_levels.available_qty" }).click();
    const field = page.getByRole("textbox", { name: "inventory_levels.available_qty" });
    assert.equal(await field.inputValue(), "500.00");
    await field.fill("2000");
    await page.getByRole("button", { name: "Re-evaluate" }).click();
    await page.locator("#token").fill(TOKEN);
    await page.getByRole("button", { name: "Continue" }).click();
    await page.locator(".verdict").filter({ hasText: "no_order" }).filter({ hasText: "what if" }).waitFor();
    const changes = await page.locator(".changes").innerText();
    assert.match(changes, /status\s+success\s+no_order/);
    assert.match(changes, /reason\s+–\s+sufficient_stock/);
    await page.getByRole("button", { name: "Do not suppose inventory_levels.available_qty" }).click();
    await page.getByRole("button", { name: "Run" }).click();
    await page.locator(".verdict[data-kind=success]").waitFor();
    assert.equal(await page.locator(".changes").count(), 0);
  }));

  test("it is copied as curl, which gives the same answer", () => visit(VIEWS.decided, async (page) => {
    await page.locator(".verdict[data-kind=success]").waitFor();
    await page.getByRole("button", { name: "Copy as curl" }).click();
    const command = await until("the clipboard", () => page.evaluate(() => navigator.clipboard.readText()));
    assert.match(command, /^curl -s 'http:\/\/127\.0\.0\.1:\d+\/purchasing\/flow\?explain=true'/);
    const { explain: why, ...answer } = JSON.parse(execFileSync("sh", ["-c", command], { encoding: "utf8" }));
    const { explain, ...known } = await (await post("/purchasing/flow?explain=true", { product_id: "PROD-001" })).json();
    assert.deepEqual(answer, known);
    assert.deepEqual([why.nodes.length, answer.purchase_order.grand_total], [7, 9207]);
  }));

  test("it is saved as a flow test that passes", () => visit(VIEWS.decided, async (page) => {
    await page.locator(".verdict[data-kind=success]").waitFor();
    await page.getByRole("button", { name: "Save as flow test" }).click();
    const dialog = page.getByRole("dialog");
    const download = page.waitForEvent("download");
    await dialog.getByRole("button", { name: /^Download/ }).click();
    const file = await download;
    assert.equal(file.suggestedFilename(), "purchasing.test.yaml");
    const text = readFileSync(await file.path(), "utf8");
    assert.match(text, /^flow: purchasing$/m);
    const { passes } = await import("./flowtest.mjs");
    passes(service, text);
  }));
});

describe("domains", () => {
  test("each has a card that lives", () => visit(VIEWS.domains, async (page) => {
    await settled(page);
    assert.equal(await page.locator("article.card").count(), 4);
    await page.locator(".pill[data-state=ready]").nth(3).waitFor();
    assert.match(await card(page, "oms_db").locator(".pool").innerText(), /\d+ in use, \d+ idle, of 20/);
    const body = '{"product_id":"PROD-002"}';
    const busy = setInterval(() => fetch(`${service.base}/purchasing/flow`, { method: "POST", headers: { "Content-Type": "application/json" }, body }).catch(() => {}), 60);
    try {
      await until("a rate", async () => Number(await card(page, "uom_db").locator(".now").first().innerText()) > 1);
      await card(page, "uom_db").locator(".now").nth(1).filter({ hasText: "ms" }).waitFor();
      assert.match(await card(page, "uom_db").locator(".area").first().getAttribute("d"), /^M/);
    } finally {
      clearInterval(busy);
    }
  }));

  test("a database that is killed shows, here and in the flow, and so does its return", () => visit(VIEWS.domains, async (page) => {
    const supplier = card(page, "supplier_db");
    await supplier.locator(".pill[data-state=ready]").waitFor();
    try {
      await service.supplier.kill();
      await supplier.locator(".pill[data-state=down]").waitFor();
      assert.notEqual(await supplier.locator(".last-error .detail").innerText(), "none");
      const [error, chart] = [await supplier.locator(".last-error").boundingBox(), await supplier.locator(".charts").boundingBox()];
      assert.ok(error.y < chart.y, "what is wrong comes first");
      assert.match(await supplier.locator(".pairs").innerText(), /last probe\s+failed/);
      assert.deepEqual(await axe(page), []);
      await page.getByText("3 of 4 databases ready").waitFor();
      assert.equal(await card(page, "oms_db").locator(".pill").getAttribute("data-state"), "ready");
      await page.evaluate((hash) => { location.hash = hash; }, VIEWS.flow);
      await page.locator('.box.alarmed[data-id="supplier_info"]').waitFor();
      await page.getByRole("link", { name: "Playground" }).click();
      await settled(page);
      await page.getByRole("textbox", { name: "product_id" }).fill("PROD-001");
      await page.getByRole("button", { name: "Run" }).click();
      await page.locator(".verdict[data-kind=problem]").filter({ hasText: /domain_unavailable|connection_lost/ }).waitFor();
      // What was in vain is drawn as such, and not as a way through the service.
      assert.match(await page.locator('.timeline tr[data-timed="supplier_info"]').innerText(), /failed[\s\S]*ms\s+[\d.]+ ms\s+[\d.]+ ms/);
      await page.getByRole("link", { name: "Domains" }).click();
      await supplier.locator(".pill[data-state=down]").waitFor();
    } finally {
      await service.supplier.start();
    }
    // Its return is watched as it happens.
    await supplier.locator(".pill[data-state=ready]").waitFor({ timeout: 60_000 });
    await page.getByText("4 databases, all ready").waitFor();
    assert.equal(await supplier.getAttribute("data-state"), "ready");
  }));

  test("a restart asks for the token, refuses a wrong one, and shows the switch-over with the right one", () => visit(VIEWS.domains, async (page) => {
    const oms = card(page, "oms_db");
    const restarts = () => oms.locator(".pairs dd").first().innerText();
    await oms.locator(".pill[data-state=ready]").waitFor();
    const before = Number(await restarts());
    await oms.getByRole("button", { name: "Restart oms_db" }).click();
    const dialog = page.getByRole("dialog");
    await giveToken(page, "not the token");
    await dialog.getByText("not accepted").waitFor();
    assert.deepEqual(await axe(page), []);
    assert.equal(Number(await restarts()), before);
    await dialog.locator("#token").fill(TOKEN);
    await page.keyboard.press("Enter");
    await oms.getByText("The old one is gone").waitFor();
    await until("the count", async () => Number(await restarts()) === before + 1);
    await oms.locator(".pill[data-state=ready]").waitFor();
  }));

  test("a restart that nobody gives a token for does nothing", () => visit(VIEWS.domains, async (page) => {
    const uom = card(page, "uom_db");
    await uom.getByRole("button", { name: "Restart uom_db" }).click();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.equal(await uom.locator(".switch").isVisible(), false);
    assert.equal(await uom.getByRole("button", { name: "Restart uom_db" }).isEnabled(), true);
  }));

  test("a connection that is lost shows, and heals", () => visit(VIEWS.domains, async (page) => {
    await settled(page);
    const ended = await service.end();
    try {
      assert.equal(ended, 0, "whoever listens does not hold up the end");
      await page.locator(".connection[data-state=lost]").waitFor();
      await page.locator(".banner").filter({ hasText: "is lost" }).waitFor();
      assert.deepEqual(await axe(page), []);
    } finally {
      await service.serve();
    }
    await page.locator(".connection[data-state=live]").waitFor();
    assert.equal(await page.locator(".banner").isVisible(), false);
    await page.locator(".pill[data-state=ready]").nth(3).waitFor();
  }));
});

describe("safety", () => {
  test("hostile strings are shown as text, and turned ones as they are", async () => {
    await visit("#/flow/hostile/supplier_info", async (page) => {
      await settled(page);
      assert.ok((await page.locator("main").innerText()).includes("<img src=x onerror="));
      assert.ok(!(await page.locator("body").innerHTML()).includes("\u202e"), "no character turns what is around it");
      assert.ok((await page.locator(".lead").innerText()).includes("⟨U+202E⟩gnp.exe"));
    });
    await visit("#/play/hostile?product_id=EVIL&run=1", async (page) => {
      await page.locator(".verdict[data-kind=success]").waitFor();
      assert.ok((await page.locator(".verdict .message").innerText()).includes("<script>window.hacked=1</script>"));
      assert.ok((await page.locator(".answer").innerText()).includes("<b>bold</b>"));
      assert.equal(await page.locator("main img, main script, main b").count(), 0);
      assert.ok(!(await page.locator("body").innerHTML()).includes("\u202e"));
    });
    await visit("#/flow/%3Cimg%20src%3Dx%20onerror%3D%22window.hacked%3D1%22%3E", async (page) => {
      await page.getByText("There is no flow").waitFor();
    });
  });

  test("the page may load and run only what comes from the service", async () => {
    const response = await fetch(`${service.base}/`);
    const policy = response.headers.get("content-security-policy");
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]) {
      assert.ok(policy.includes(part), part);
    }
    assert.ok(!/unsafe/.test(policy));
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    const text = await response.text();
    assert.ok(!/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/.test(text), "nothing is inline");
    // The policy is in force: what it forbids does not run.
    const { page, close } = await open(browser, service, VIEWS.flow);
    try {
      await settled(page);
      const ran = await page.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "window.inline = true";
        document.body.append(script);
        return window.inline === true;
      });
      assert.equal(ran, false);
    } finally {
      await close();
    }
  });

  test("nothing is asked of anybody else", () => visit(VIEWS.decided, async (page) => {
    const strangers = [];
    page.on("request", (request) => { if (!request.url().startsWith(service.base) && !/^(blob|data):/.test(request.url())) strangers.push(request.url()); });
    await page.reload();
    await page.locator(".verdict").waitFor();
    await page.goto(`${service.base}/${VIEWS.domains}`);
    await settled(page);
    assert.deepEqual(strangers, []);
  }));
});

describe("callers", () => {
  test("where callers need tokens the page asks for one, and shows what it lets them ask", async () => {
    const guarded = await Service.start({ flows: ["graph.yaml", "wide.yaml"], callers: true });
    const { page, complaints, close } = await open(browser, guarded, VIEWS.flow);
    try {
      const dialog = page.getByRole("dialog");
      await dialog.locator("#token").fill("somebody else's");
      await page.keyboard.press("Enter");
      await dialog.getByText("not accepted").waitFor();
      await dialog.locator("#token").fill(CALLER);
      await page.keyboard.press("Enter");
      await settled(page);
      await box(page, "supplier_info").waitFor();
      assert.equal(await page.locator("#flow-choice").count(), 0, "there is one flow to see");
      await page.getByRole("link", { name: "Playground" }).click();
      await run(page, "PROD-001");
      await page.getByRole("button", { name: "Suppose another supplier_info.moq" }).click();
      await page.getByRole("textbox", { name: "supplier_info.moq" }).fill("1000");
      await page.getByRole("button", { name: "Re-evaluate" }).click();
      await dialog.locator("#token").fill(TOKEN);
      await page.keyboard.press("Enter");
      await page.locator(".changes").filter({ hasText: "order_qty" }).waitFor();
      assert.deepEqual(complaints, []);
    } finally {
      await close();
      await guarded.stop();
    }
  });
});

describe("habits", () => {
  for (const scheme of ["light", "dark"]) {
    for (const [name, hash] of Object.entries(VIEWS)) {
      test(`axe finds nothing in ${scheme} ${name}`, () => visit(hash, async (page) => {
        await settled(page);
        if (hash.includes("run=1")) await page.locator(".verdict").waitFor();
        assert.deepEqual(await axe(page), []);
      }, { scheme }));
    }
    test(`axe finds nothing in ${scheme} dialogs and changes`, () => visit(VIEWS.decided, async (page) => {
      await page.locator(".verdict").waitFor();
      await page.getByRole("button", { name: "Save as flow test" }).click();
      await page.getByRole("dialog").waitFor();
      assert.deepEqual(await axe(page), []);
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Suppose another supplier_info.lead_time" }).click();
      await page.getByRole("textbox", { name: "supplier_info.lead_time" }).fill("1");
      await page.getByRole("button", { name: "Re-evaluate" }).click();
      await page.locator("#token").waitFor();
      assert.deepEqual(await axe(page), []);
      await page.locator("#token").fill(TOKEN);
      await page.keyboard.press("Enter");
      await page.locator(".changes").waitFor();
      assert.deepEqual(await axe(page), []);
    }, { scheme }));
  }

  for (const [name, hash] of Object.entries({ ...VIEWS, hostile: "#/play/hostile?product_id=EVIL&run=1", wide: "#/flow/wide/step_3_3" })) {
    test(`a phone scrolls ${name} down and never sideways`, () => visit(hash, async (page) => {
      await settled(page);
      if (hash.includes("run=1")) await page.locator(".verdict").waitFor();
      const { wide, wider } = await page.evaluate(() => {
        const root = document.documentElement;
        const wider = [...document.querySelectorAll("main *")].filter((element) => element.getBoundingClientRect().right > root.clientWidth + 1 && !element.closest(".scroll, .code, .canvas")).map((element) => element.outerHTML.slice(0, 120));
        return { wide: root.scrollWidth - root.clientWidth, wider };
      });
      assert.deepEqual({ wide, wider }, { wide: 0, wider: [] });
    }, { width: 360, height: 740 }));
  }

  test("the keyboard alone leads everywhere", () => visit(VIEWS.flow, async (page) => {
    await settled(page);
    const focused = () => page.evaluate(() => (document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent).trim());
    const tabTo = (wanted) => until(`the focus on ${wanted}`, async () => {
      await page.keyboard.press("Tab");
      return wanted.test(await focused());
    });
    await page.keyboard.press("Tab");
    assert.match(await focused(), /Skip to the content/);
    await page.keyboard.press("Enter");
    await tabTo(/^input/);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    assert.match(await focused(), /^rule_engine/);
    await page.keyboard.press("Enter");
    await page.locator(".panel").getByRole("heading", { name: "rule_engine" }).waitFor();
    await page.keyboard.press("Escape");
    await page.locator(".panel").getByText("Choose a node").waitFor();
    assert.match(await focused(), /^rule_engine/, "the focus is back where it was");
    await page.goto(`${service.base}/${VIEWS.playground}`);
    await settled(page);
    await page.getByRole("link", { name: "Playground" }).focus();
    await until("the input", async () => {
      await page.keyboard.press("Tab");
      return page.evaluate(() => document.activeElement.id === "input-product_id");
    });
    await page.keyboard.type("PROD-003");
    await page.keyboard.press("Enter");
    await page.locator(".verdict[data-kind=success]").filter({ hasText: "PROD-003" }).waitFor();
  }));

  test("nothing jumps while numbers change", () => visit(VIEWS.domains, async (page) => {
    await settled(page);
    await page.locator(".pill[data-state=ready]").nth(3).waitFor();
    await page.evaluate(() => {
      window.shift = 0;
      new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shift += entry.value; }).observe({ type: "layout-shift" });
    });
    const heard = await page.evaluate(() => document.querySelectorAll(".now").length);
    assert.ok(heard > 0);
    const body = '{"product_id":"PROD-001"}';
    for (let count = 0; count < 40; count += 1) {
      await fetch(`${service.base}/purchasing/flow`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    }
    await until("a rate", async () => Number(await page.locator(".now").first().innerText()) > 0);
    assert.ok(await page.evaluate(() => window.shift) < 0.01, "the cards keep their places");
  }));

  test("times are in the reader's zone, and colours as the reader chose", () => visit(VIEWS.domains, async (page) => {
    await settled(page);
    const [shown, at] = await page.locator("article time").first().evaluate((element) => [element.textContent, element.dateTime]);
    const berlin = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: "Europe/Berlin" }).format(new Date(at));
    assert.ok(shown.endsWith(berlin), `${shown} is ${berlin} in Berlin`);
    const toggle = page.getByRole("button", { name: /^Colours/ });
    await toggle.click();
    await toggle.click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.reload();
    await settled(page);
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  }));
});
