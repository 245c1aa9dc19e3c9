// A grid's master, with its hosts, its nodes and what happens; and an agent, with its nodes.

/** Events that are kept on the page. */
const EVENTS_KEPT = 500;
const EVENTS_ASKED = 100;

const STATE_MARKS = { healthy: "●", running: "●", degraded: "◐", starting: "◐", stopping: "◐" };

/** A state in words, with a mark, so that it is not told by colour alone. */
function stateCell(state) {
  const isWell = ["healthy", "running"].includes(state);
  const isBetween = STATE_MARKS[state] === "◐" || ["stopped", "unknown"].includes(state);
  return element("td", { class: isWell ? "good" : isBetween ? null : "bad" },
    element("span", { "aria-hidden": true }, STATE_MARKS[state] ?? "■"), ` ${state}`);
}

function agentRow(agent) {
  return row([
    agent.id,
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

/** A node as a master tells of it, or as its own agent does. */
function nodeRow(node) {
  return row([
    node.name || node.id || node.node_id,
    stateCell(node.state),
    [node.agent, node.host].filter(Boolean).join(" on ") || node.storage_path,
    node.endpoint,
    node.compat_endpoint,
    figure(String(node.restarts)),
    element("td", { class: "content" }, node.detail),
  ]);
}

function eventRow(event) {
  return row([element("td", { class: "time" }, moment(event.at_us)), spoken(event.kind),
    event.agent ?? "", event.node ?? "", element("td", { class: "content" }, event.text ?? "")]);
}

function block(title, ...children) {
  return element("section", { class: "block", "aria-label": title }, element("h2", null, title),
    ...children);
}

const rowsOf = (place) => place.querySelector("tbody");

/** The view of a master. Returns what ends it. */
function masterView(main) {
  const figures = element("dl", { class: "now" });
  const agents = table("Hosts", ["agent", "state", "host", "endpoint", "#last heard", "#running",
    "#at most", "version"], [], { class: "wide" });
  const nodes = table("Nodes", ["node", "state", "where", "endpoint", "old protocol", "#restarts",
    "detail"], [], { class: "wide" });
  const events = table("Events, the newest first", ["at", "what", "agent", "node", "more"], [],
    { class: "wide" });
  const note = element("p", { class: "note" });
  main.replaceChildren(element("h1", { class: "unseen" }, "Grid"),
    element("section", { "aria-label": "Now" }, figures),
    block("Hosts", agents), block("Nodes", note, nodes), block("Events", events));
  const ends = [watch(() => "/api/v1/grid", 1000, (grid) => {
    sayAnswer(grid);
    sayFacts([["up", age(grid.uptime_seconds * 1e6)], ["version", grid.version]]);
    figures.replaceChildren(...terms([
      ["agents", whole(grid.agents.total)], ["healthy", whole(grid.agents.healthy)],
      ["degraded", whole(grid.agents.degraded)], ["offline", whole(grid.agents.offline)],
      ["unknown", whole(grid.agents.unknown)], ["nodes", whole(grid.nodes.total)],
      ["running", whole(grid.nodes.running)]]));
    rowsOf(agents).replaceChildren(...grid.agents.first.map(agentRow));
    rowsOf(nodes).replaceChildren(...grid.nodes.first.map(nodeRow));
    const [shown, all] = [grid.nodes.first.length, grid.nodes.total];
    setText(note, shown < all ? `The first ${whole(shown)} of ${whole(all)} are shown.` : "");
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
  const nodes = table("Nodes", ["node", "state", "data", "endpoint", "old protocol", "#restarts",
    "detail"], [], { class: "wide" });
  const note = element("p", { class: "note" });
  main.replaceChildren(element("h1", { class: "unseen" }, "Agent"), block("Nodes", note, nodes));
  return watch(() => "/stats.json", 1000, (agent) => {
    sayAnswer({ healthy: agent.status === "ok", status: agent.status });
    sayFacts([["agent", agent.agent_id], ["master", agent.master],
      ["registered", agent.registered ? "yes" : "no"], ["version", agent.version]]);
    setText(note, `${counted(agent.nodes.length, "node")} of at most ${whole(agent.max_nodes)}.`);
    rowsOf(nodes).replaceChildren(...agent.nodes.map(nodeRow));
  }, saySilence, 3000);
}
