// A grid's master, with its hosts, its nodes and what happens; and an agent, with its nodes.

/** Events that are kept on the page. */
const EVENTS_KEPT = 500;
const EVENTS_ASKED = 100;
/** Agents and nodes that are shown at a time. */
const GRID_SHOWN = 200;

const STATE_MARKS = { healthy: "●", running: "●", degraded: "◐", starting: "◐", stopping: "◐" };

/** A state in words, with a mark, so that it is not told by colour alone. */
function stateCell(state) {
  const isWell = ["healthy", "running"].includes(state);
  const isBetween = STATE_MARKS[state] === "◐" || ["stopped", "unknown"].includes(state);
  const how = isWell ? "good" : isBetween ? "" : "bad";
  return element("td", { class: `whole ${how}` },
    element("span", { "aria-hidden": true }, STATE_MARKS[state] ?? "■"), ` ${state}`);
}

/** A name that leads to the page of whom it names, where that has one. */
function pageLink(name, admin) {
  return admin ? element("a", { href: `//${admin}/`, rel: "noreferrer" }, name) : name;
}

function agentRow(agent) {
  return row([
    pageLink(agent.id, agent.admin),
    stateCell(agent.state),
    agent.host,
    agent.endpoint,
    figure(agent.heartbeat_age_ms === null || agent.heartbeat_age_ms === undefined ? "–"
      : took(agent.heartbeat_age_ms * 1e3)),
    figure(`${agent.running} of ${agent.nodes}`),
    figure(String(agent.max_nodes)),
    agent.version,
  ]);
}

function nodeTable(where) {
  return table("Nodes", ["node", "state", where, "endpoint", "old protocol", "#restarts", "detail"],
    []);
}

/** A node as a master tells of it, or as its own agent does. */
function nodeRow(node) {
  return row([
    pageLink(node.name || node.id || node.node_id, node.admin),
    stateCell(node.state),
    [node.agent, node.host].filter(Boolean).join(" on ") || node.storage_path,
    node.endpoint,
    node.compat_endpoint,
    figure(String(node.restarts)),
    element("td", { class: "content" }, node.detail),
  ]);
}

function eventRow(event) {
  return row([
    element("td", { class: "whole" }, moment(event.at_us)),
    event.kind ?? "unknown",
    event.agent,
    event.name || event.node,
    element("td", { class: "content" }, event.text),
  ]);
}

function block(title, ...children) {
  return element("section", { class: "block", "aria-label": title }, element("h2", null, title),
    ...children);
}

const rowsOf = (place) => place.querySelector("tbody");

/** A list that is shown page by page; `after` is where the page that is shown begins. */
class Pages {
  constructor(title, list) {
    this.after = "";
    this.next = button("Next", () => this.goTo(this.cursor), { class: "small", hidden: true });
    this.first = button("From the beginning", () => this.goTo(""),
      { class: "small", hidden: true });
    this.list = list;
    this.node = element("section", { class: "block", "aria-label": title },
      element("div", { class: "head" }, element("h2", null, title), this.first, this.next), list);
  }

  goTo(after) {
    this.after = after;
    this.first.hidden = after === "";
    this.next.hidden = true;
  }

  show(rows, cursor) {
    this.cursor = cursor;
    this.next.hidden = cursor === null;
    rowsOf(this.list).replaceChildren(...rows);
  }
}

function gridFigures({ agents, nodes }) {
  const states = Object.entries(nodes).filter(([state, number]) =>
    number > 0 || state === "running");
  return terms([
    ["agents", whole(agents.total)], ["healthy", whole(agents.healthy)],
    ["degraded", whole(agents.degraded)], ["offline", whole(agents.offline)],
    ["not proven", whole(agents.unproven)], ["nodes", whole(sum(nodes))],
    ...states.map(([state, number]) => [`nodes ${state}`, whole(number)]),
  ]);
}

/** The view of a master. Returns what ends it. */
function masterView(main) {
  const figures = element("dl", { class: "now" });
  const agents = new Pages("Hosts", table("Hosts", ["agent", "state", "host", "endpoint",
    "#last heard", "#running", "#at most", "version"], []));
  const nodes = new Pages("Nodes", nodeTable("where"));
  const events = table("Events, the newest first", ["at", "what", "agent", "node", "more"], []);
  main.replaceChildren(element("h1", { class: "unseen" }, "Grid"),
    element("section", { "aria-label": "Now" }, figures), agents.node, nodes.node,
    block("Events", events));
  const path = () => question("/api/v1/grid",
    { limit: GRID_SHOWN, agents_after: agents.after, nodes_after: nodes.after });
  const ends = [watch(path, 1000, (grid) => {
    sayAnswer(grid);
    sayFacts([["up", age(grid.uptime_us)], ["version", grid.version]]);
    figures.replaceChildren(...gridFigures(grid.counts));
    agents.show(grid.agents.map(agentRow), grid.agents_cursor);
    nodes.show(grid.nodes.map(nodeRow), grid.nodes_cursor);
  }, saySilence, 3000), watchEvents(events)];
  return () => ends.forEach((end) => end());
}

/** Events as they happen: each answer has those after the last one that is known. */
function watchEvents(events) {
  let last = "";
  return watch(() => question("/api/v1/events", { after: last, limit: EVENTS_ASKED }), 1000,
    (answer) => {
      const fresh = answer.events.map(eventRow).reverse();
      last = answer.events.at(-1)?.sequence ?? answer.sequence ?? last;
      rowsOf(events).prepend(...fresh);
      while (rowsOf(events).children.length > EVENTS_KEPT) rowsOf(events).lastChild.remove();
    });
}

/** The view of an agent. Returns what ends it. */
function agentView(main) {
  const nodes = nodeTable("data");
  const note = element("p", { class: "note" });
  main.replaceChildren(element("h1", { class: "unseen" }, "Agent"), block("Nodes", note, nodes));
  return watch(() => "/api/v1/nodes", 1000, (agent) => {
    sayAnswer(agent);
    sayFacts([["up", age(agent.uptime_seconds * 1e6)], ["version", agent.version],
      ["agent", agent.agent_id], ["master", agent.master],
      ["registered", agent.registered ? "yes" : "no"]]);
    setText(note, `${counted(agent.nodes.length, "node")} of at most ${whole(agent.max_nodes)}.`);
    rowsOf(nodes).replaceChildren(...agent.nodes.map(nodeRow));
  }, saySilence, 3000);
}
