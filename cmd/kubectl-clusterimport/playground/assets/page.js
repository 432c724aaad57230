// The page of kubectl clusterimport playground. It has the texts evaluated while they are
// edited, and shows what comes of them. What it shows is text, never HTML.
import {createEditor} from "./editor.js";

const byId = (id) => document.getElementById(id);
const token = location.hash.slice(1);
const nonce = document.querySelector("meta[name=csp-nonce]").content;

// element makes an element with texts or elements in it.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// request asks the API. Its errors have the message of the answer.
async function request(method, path, body, signal) {
  let response;
  try {
    response = await fetch(path, {
      method, signal,
      headers: {"X-Playground-Token": token, ...(body ? {"Content-Type": "application/json"} : {})},
      body: body && JSON.stringify(body),
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The playground does not answer: start the command again, and open the URL that it prints.");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// The editors.

const inputs = ["policy", "source", "references"];
const editors = Object.fromEntries(inputs.map((name) => [name, createEditor({
  parent: byId(name), label: {policy: "Policy", source: "Source", references: "References"}[name],
  describedBy: "keys", nonce, onChange: () => evaluateSoon(),
})]));
const pediaCluster = createEditor({parent: byId("pediacluster"), label: "PediaCluster", nonce, readOnly: true});

function open(texts) {
  for (const name of inputs) {
    if (texts[name] !== undefined) editors[name].setText(texts[name]);
  }
  evaluate();
}

// Evaluation. The newest texts win: a request for older ones is canceled.

let timer;
let running;
let delay = 200;

function evaluateSoon() {
  clearTimeout(timer);
  timer = setTimeout(evaluate, delay);
}

async function evaluate() {
  clearTimeout(timer);
  running?.abort();
  const own = running = new AbortController();
  const began = performance.now();
  document.body.dataset.state = "evaluating";
  try {
    const texts = Object.fromEntries(inputs.map((name) => [name, editors[name].text()]));
    const evaluation = await request("POST", "api/evaluate", texts, own.signal);
    if (own.signal.aborted) return;
    show(evaluation);
  } catch (error) {
    if (own.signal.aborted) return;
    say(error.message);
    stale(error.message);
  }
  document.body.dataset.state = "ready";
  // Texts that take long are evaluated less often.
  delay = Math.min(2000, Math.max(200, performance.now() - began));
}

// say has the status read out, unless it says so already.
function say(text) {
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

function show({findings, moreFindings = 0, untyped, result}) {
  showFindings(findings, moreFindings);
  byId("untyped").textContent = untyped
    ? `Not checked with their types: ${untyped.join(", ")}. Put CustomResourceDefinitions into References.` : "";
  const errors = findings.filter((finding) => finding.severity === "error").length;
  const more = moreFindings ? `, and ${count(moreFindings, "other problem")}` : "";
  const problems = `${count(errors, "error")}, ${count(findings.length - errors, "warning")}${more}.`;
  if (!result) {
    const why = errors ? "Nothing is rendered: see the problems." : "Nothing is rendered: there is no Source.";
    say(`${problems} ${why}`);
    stale(why);
    return;
  }
  byId("stale").hidden = true;
  byId("result").hidden = false;
  byId("result").classList.remove("old");
  showResult(result);
  say(`${problems} ${result.plan.summary}`);
}

// stale says that what is shown is not of the texts.
function stale(why) {
  if (byId("result").hidden) return;
  byId("stale").textContent = `This was the result of an earlier text. ${why}`;
  byId("stale").hidden = false;
  byId("result").classList.add("old");
}

function showFindings(findings, more) {
  for (const name of inputs) {
    editors[name].setFindings(findings.filter((finding) => finding.editor === name));
  }
  const items = findings.map((finding) => {
    const {editor, line, column, severity, field, message} = finding;
    const place = column ? `${editor}:${line}:${column}` : `${editor}:${line}`;
    const button = element("button", {type: "button", class: severity},
      element("span", {class: "severity"}, severity), " ", element("span", {class: "place"}, place), " ",
      field ? `${field}: ${message}` : message);
    button.addEventListener("click", () => editors[editor].goTo(line, column));
    return element("li", {}, button);
  });
  if (more) items.push(element("li", {}, `and ${more} more`));
  if (!items.length) items.push(element("li", {class: "none"}, "None."));
  byId("findings").replaceChildren(...items);
}

// The result.

function showResult({selected, name, references = [], conditions = [], pediaCluster: text = "", plan}) {
  byId("summary").textContent = plan.summary;
  byId("summary").dataset.action = plan.action;
  const facts = [
    ["Action", plan.reason ? `${plan.action} (${plan.reason})` : plan.action],
    ["Message", plan.message],
    ["Changes", plan.changed?.join(", ")],
    ["Decided by", plan.rule],
  ].filter(([, value]) => value);
  byId("plan").replaceChildren(...facts.flatMap(([title, value]) => [element("dt", {}, title), element("dd", {}, value)]));
  byId("name").textContent = name || (selected ? "It cannot be rendered." : "The Source is not selected.");
  byId("found").replaceChildren(...(references.length ? references.map(showReference) : [element("li", {class: "none"}, "None.")]));
  const open = new Map([...byId("conditions").children].map((details) => [details.dataset.field, details.open]));
  byId("conditions").replaceChildren(...(conditions.length ? conditions.map((condition) => showCondition(condition, open)) : [element("p", {}, "None.")]));
  byId("no-pediacluster").hidden = text !== "";
  byId("pediacluster").hidden = text === "";
  pediaCluster.setText(text.trimEnd());
}

// sign is ✓, ✗ or -. What it stands for is in the words behind it.
function sign(mark) {
  return element("span", {class: {"✓": "good", "✗": "bad"}[mark] ?? "unasked", "aria-hidden": "true"}, mark);
}

function showReference({key, target, found}) {
  return element("li", {}, sign(found ? "✓" : "✗"), ` ${key}: ${target}: ${found ? "found" : "not among the references"}`);
}

function showCondition({title, field, result, holds, why, template = []}, open) {
  const details = element("details", {"data-field": field},
    element("summary", {}, sign(!result ? "-" : holds ? "✓" : "✗"), ` ${title}: ${result || "not evaluated yet"}`));
  details.open = open.get(field) ?? true;
  if (why) details.append(element("p", {class: "why"}, `So it is not true: ${why}`));
  if (template.length) details.append(element("ol", {class: "trace", tabindex: "0", "aria-label": `${title}, line by line`}, ...template.map(showLine)));
  return details;
}

function showLine({text, decisions = []}) {
  const line = element("li", {}, element("code", {}, text || " "));
  if (decisions.length) {
    line.append(element("ul", {}, ...decisions.map(({sign: mark, expression, result}) => element("li", {},
      sign(mark), " ", element("code", {}, expression), ` ${result}`))));
  }
  return line;
}

// Examples and Sources of the cluster.

function options(select, values, label = (value) => value) {
  select.replaceChildren(...values.map((value, i) => new Option(label(value), String(i))));
}

// attempt does something when a button is pressed, and says what goes wrong.
function attempt(id, action) {
  byId(id).addEventListener("click", async () => {
    const button = byId(id);
    button.setAttribute("aria-busy", "true");
    try {
      await action();
    } catch (error) {
      say(error.message);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

function offerExamples(platforms) {
  const names = () => platforms[byId("platform").value].cases;
  options(byId("platform"), platforms, (platform) => platform.name);
  byId("platform").addEventListener("change", () => options(byId("case"), names()));
  const openExample = async () => {
    const platform = platforms[byId("platform").value];
    open(await request("GET", `api/examples/${platform.name}/${platform.cases[byId("case").value]}`));
  };
  attempt("open-example", openExample);

  byId("platform").value = String(Math.max(0, platforms.findIndex((platform) => platform.name === "cluster-api")));
  options(byId("case"), names());
  byId("case").value = String(Math.max(0, names().indexOf("initialized")));
  return openExample();
}

function offerSources(cluster) {
  let sources = [];
  byId("live").hidden = false;
  byId("cluster").textContent = cluster;
  attempt("list-sources", async () => {
    const list = await request("POST", "api/live/sources", {policy: editors.policy.text()});
    sources = list.sources;
    options(byId("source-name"), sources, ({namespace, name}) => namespace ? `${namespace}/${name}` : name);
    byId("source-name").disabled = byId("open-source").disabled = !sources.length;
    say(list.more ? `The first ${sources.length} Sources are listed.` : `${count(sources.length, "Source")} listed.`);
    if (sources.length) byId("source-name").focus();
  });
  attempt("open-source", async () => {
    const {notes, ...texts} = await request("POST", "api/live/source",
      {policy: editors.policy.text(), source: sources[byId("source-name").value]});
    open(texts);
    if (notes) say(`Not read: ${notes.join("; ")}`);
  });
}

byId("skip").addEventListener("click", () => byId("result-title").focus());

try {
  const {platforms, cluster} = await request("GET", "api/start");
  if (cluster) offerSources(cluster);
  await offerExamples(platforms);
} catch (error) {
  say(error.message);
}
