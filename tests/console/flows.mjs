// The flows of the tests, beside the shipped one.

// Markup and turned text wherever somebody else's words are shown.
export const HOSTILE = "<img src=x onerror=\"window.hacked=1\">\u202egnp.exe";
// A flow file must not hold the character itself.
const quoted = JSON.stringify(HOSTILE).replace("\u202e", "\\u202e");

export const HOSTILE_FLOW = `
flow: hostile
description: ${quoted}
input:
  product_id: { type: text, max_length: 90, description: ${quoted}, pattern: "[^!]*" }
nodes:
  supplier_info:
    type: DBNode
    database: supplier_db
    description: ${quoted}
    query: "SELECT supplier_name, '<b>bold</b>' AS markup FROM suppliers WHERE product_id = $1"
  judged:
    type: RuleNode
    rules: hostile.grl
    dependencies: [supplier_info]
outcomes:
  - status: success
    when: judged.named
    message: "{supplier_info.supplier_name} & <script>window.hacked=1</script>"
    body: { name: supplier_info.supplier_name, markup: supplier_info.markup }
`;
export const HOSTILE_RULES = `rule "<img src=x onerror=window.hacked=1>" "<b>said</b>" salience 9 no-loop {
    when supplier_info.supplier_name != ""
    then named = true;
         Log("<i>logged</i>", supplier_info.supplier_name);
}
rule "<u>never</u>" salience 1 no-loop {
    when supplier_info.supplier_name == "<s>another</s>"
    then named = false;
}
`;

// Edges with conditions, two into one target; other names, mapped and starting facts; rows of any number; a default.
export const GUARDED_FLOW = `
flow: guarded
description: Edges that have conditions
input:
  product_id: { type: text }
  least: { type: integer, default: 10 }
nodes:
  stock: { type: DBNode, database: inventory_db, query: "SELECT product_id, available_qty FROM inventory WHERE product_id = $1", params: [product_id] }
  demand: { type: DBNode, database: oms_db, coalesce: off, query: "SELECT product_id, avg_daily_demand, trend FROM oms_history WHERE product_id = $1", params: [product_id] }
  offers:
    type: DBNode
    database: supplier_db
    rows: many
    on_error: { default: [] }
    query: "SELECT supplier_name, moq FROM suppliers WHERE product_id = $1"
    params: [product_id]
  judged:
    type: RuleNode
    rules: guarded.grl
    inputs: { shelf: stock }
    field_mappings: { daily: demand.avg_daily_demand }
    facts: { margin: 3 }
  counted:
    type: RuleNode
    condition: "count(offers) > 0"
    dependencies: [offers]
edges:
  - { from: stock, to: judged, rule: "stock.available_qty >= input.least" }
  - { from: demand, to: judged, rule: "demand.avg_daily_demand > 0" }
outcomes:
  - { status: enough, when: "judged.enough", body: { stock: stock.available_qty, offered: counted.result } }
  - { status: short, when: "judged.enough == false", body: { offered: counted.result } }
  - { status: unknown, body: { offered: counted.result } }
`;
export const GUARDED_RULES = `rule "Enough" "covers the margin" salience 9 no-loop {
    when shelf.available_qty >= daily * margin
    then enough = true;
}
rule "Short" salience 8 no-loop {
    when shelf.available_qty < daily * margin
    then enough = false;
}
`;

// An input of every kind; `run` is called as the address calls something of its own.
export const FORMS_FLOW = `
flow: forms
input:
  run: { type: integer, minimum: 1, maximum: 9, default: 3 }
  size: { type: text, enum: [small, large] }
  sure: { type: boolean, default: false }
  day: { type: date }
  at: { type: timestamp, required: false }
  price: { type: decimal, minimum: 0 }
  code: { type: text, pattern: "[A-Z]{2}[0-9]+", max_length: 6 }
  tags: { type: list of text, enum: [red, green, blue] }
  amounts: { type: list of decimal, required: false }
nodes:
  known: { type: RuleNode, condition: "run > 0" }
outcomes:
  - { status: done, when: known.result, body: { run: run, size: size, sure: sure, day: day, at: at, price: price, code: code, tags: tags, amounts: amounts } }
`;

export const TABLE_FLOW = `
flow: rates
description: A decision table
input:
  region: { type: text, enum: [EU, US] }
  qty: { type: integer, default: 5 }
nodes:
  rates: { type: RuleNode, table: rates.csv, hit: first }
outcomes:
  - { status: done, when: "rates.discount >= 0", body: { discount: rates.discount } }
`;

export const TABLE_ROWS = `rule,when region,when qty,then discount,note why
Bulk,EU,>= 10,0.1,<b>large</b>
,EU,-,0,
Abroad,US,-,0.05,a | b
`;

// 200 nodes in 20 layers.
export function wideFlow() {
  const nodes = [];
  for (let layer = 0; layer < 20; layer += 1) {
    for (let row = 0; row < 10; row += 1) {
      const before = layer === 0 ? [] : [`step_${layer - 1}_${row}`, `step_${layer - 1}_${(row + 3) % 10}`];
      nodes.push(`  step_${layer}_${row}:\n    type: RuleNode\n    condition: "input.amount > ${layer * 10 + row}"\n    dependencies: [${before.join(", ")}]`);
    }
  }
  const last = Array.from({ length: 10 }, (_, row) => `step_19_${row}.result`).join(" && ");
  return `flow: wide\ninput:\n  amount: { type: integer }\nnodes:\n${nodes.join("\n")}\noutcomes:\n  - { status: high, when: "${last}" }\n  - { status: low, when: "step_19_0.result == false" }\n`;
}

// 17 nodes over four domains: a node that feeds many, edges with conditions side by side, a decision table of many columns, rows of
// many columns, six outcomes, an effect.
const DENSE_CRITERIA = ["customer.segment", "customer.years", "stock.available_qty", "stock.reserved_qty", "demand.avg_daily_demand", "demand.trend", "supplier.unit_price", "supplier.moq", "supplier.lead_time", "unit.conversion_factor"];
export const DENSE_ROWS = [
  ["rule", ...DENSE_CRITERIA.map((name) => `when ${name}`), "then discount", "then priority", "note why"],
  ["Large and loyal", "gold", ">= 5", ">= 100", "-", ">= 10", "stable", "< 10", "-", "<= 14", "-", "0.125", "1", "kept from competitors"],
  ["Rising demand", "-", "-", "[100..400]", "< 200", ">= 100", "increasing", "-", "< 1000", "<= 7", "> 1", "0.075", "2", "ordered before it runs out"],
  ["Slow supplier", "-", "-", "-", "-", "-", "-", "-", "-", "> 10", "-", "0", "3", "no discount where delivery is slow"],
  ["Otherwise", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "0.025", "4", "the usual"],
].map((cells) => cells.map((cell) => (cell.includes(",") ? `"${cell}"` : cell)).join(",")).join("\n");

export const DENSE_FLOW = `
flow: dense
description: Decides whether a customer's order is taken, at which discount, and who has to look at it first
input:
  product_id: { type: text, max_length: 50, description: The product that is ordered }
  quantity: { type: integer, minimum: 1, default: 40 }
  express: { type: boolean, default: false }
nodes:
  customer: { type: DBNode, database: oms_db, description: Who orders, query: "SELECT product_id, 'gold' AS segment, 7 AS years, 12345678.9012::numeric AS turnover, date '2019-03-01' AS since FROM oms_history WHERE product_id = $1", params: [product_id] }
  demand: { type: DBNode, database: oms_db, query: "SELECT avg_daily_demand, trend FROM oms_history WHERE product_id = $1", params: [product_id] }
  stock: { type: DBNode, database: inventory_db, query: "SELECT available_qty, reserved_qty, warehouse_location FROM inventory WHERE product_id = $1", params: [product_id] }
  supplier: { type: DBNode, database: supplier_db, query: "SELECT supplier_name, unit_price, moq, lead_time FROM suppliers WHERE product_id = $1", params: [product_id] }
  unit: { type: DBNode, database: uom_db, query: "SELECT from_uom, to_uom, conversion_factor FROM uom_conversions WHERE product_id = $1", params: [product_id] }
  shelves:
    type: DBNode
    database: inventory_db
    rows: many
    query: "SELECT product_id, warehouse_location, available_qty, reserved_qty, available_qty - reserved_qty AS free_qty, 1234567.125 * available_qty AS value_at_cost, date '2026-01-31' AS counted_on, 'counted by hand' AS counted_how FROM inventory WHERE product_id = $1"
    params: [product_id]
  eligible: { type: RuleNode, condition: 'customer.years >= 1 && customer.segment != "blocked"', dependencies: [customer] }
  covered: { type: RuleNode, condition: "stock.available_qty - stock.reserved_qty >= quantity", dependencies: [stock] }
  rising: { type: RuleNode, condition: 'demand.trend == "increasing"', dependencies: [demand] }
  terms: { type: RuleNode, description: The discount, table: dense.csv, hit: first, dependencies: [customer, demand, stock, supplier, unit] }
  freight: { type: DBNode, database: supplier_db, query: "SELECT lead_time * 2 AS days, unit_price * 0.01 AS cost FROM suppliers WHERE product_id = $1", params: [product_id], dependencies: [covered, terms] }
  history: { type: DBNode, database: oms_db, rows: optional, query: "SELECT avg_daily_demand * 30 AS monthly FROM oms_history WHERE product_id = $1", params: [product_id], dependencies: [eligible, rising] }
  packing: { type: DBNode, database: uom_db, query: "SELECT conversion_factor * 2 AS boxes FROM uom_conversions WHERE product_id = $1", params: [product_id], dependencies: [unit, covered] }
  price: { type: RuleNode, condition: "terms.discount < 0.1", dependencies: [terms, supplier] }
  risk: { type: RuleNode, condition: "quantity > 1000", dependencies: [customer, history] }
  delivery: { type: RuleNode, condition: "freight.days <= 14 || express", dependencies: [freight, packing] }
  approval: { type: RuleNode, condition: "price.result && terms.priority >= 3", dependencies: [price, risk, delivery, customer] }
edges:
  - { from: covered, to: freight, rule: "covered.result && stock.available_qty > 10" }
  - { from: terms, to: freight, rule: "terms.priority <= 3" }
  - { from: eligible, to: history, rule: "eligible.result" }
  - { from: rising, to: history, rule: "rising.result || express" }
  - { from: covered, to: packing, rule: "covered.result == true" }
  - { from: terms, to: price, rule: "terms.discount >= 0 && terms.discount <= 0.5" }
  - { from: customer, to: risk, rule: "customer.turnover > 1000000" }
  - { from: packing, to: delivery, rule: "packing.boxes > 0" }
outcomes:
  - { status: refused, when: "eligible.result == false", message: "The customer may not order", body: { years: customer.years } }
  - { status: needs_approval, when: "approval.result", message: "Somebody has to look at it first", body: { discount: terms.discount } }
  - { status: express, when: "express && delivery.result", body: { days: freight.days } }
  - { status: too_large, when: "risk.result && covered.result == false", body: { monthly: history.monthly } }
  - { status: taken, when: "covered.result && terms.discount >= 0", message: "Taken at a discount of {terms.discount}", body: { discount: terms.discount, priority: terms.priority, shelves: shelves, turnover: customer.turnover, cost: freight.cost, boxes: packing.boxes } }
  - { status: later, body: { available: stock.available_qty } }
`;
