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
