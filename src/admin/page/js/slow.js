// Requests that took longer than the server's threshold, and where their time went.

/** The stages in their order, and what they are called. */
const STAGES = [["receive_us", "receive"], ["wait_us", "wait"], ["execute_us", "execute"],
  ["commit_us", "commit"], ["send_us", "send"]];

const SLOW_SHOWN = 50;

/** The share of each stage as a bar, with the same in words beside it. */
function stageBar(stages, tookAll) {
  const known = STAGES.map(([key, name], at) => ({ name, at, time: stages[key] }))
    .filter(({ time }) => time > 0);
  const bar = shape("svg", { class: "stages", viewBox: "0 0 100 10", preserveAspectRatio: "none",
    "aria-hidden": true });
  let from = 0;
  for (const { time, at } of known) {
    const width = 100 * time / tookAll;
    bar.append(shape("rect", { class: `stage${at}`, x: from, y: 0, width, height: 10 }));
    from += width;
  }
  const words = known.map(({ name, time }) => `${name} ${took(time)}`).join(" · ");
  return element("td", { class: "staged" }, bar, element("span", null, words));
}

function slowRow(request) {
  const subject = request.subject === null || request.subject === undefined ? ""
    : element("a", { href: address({ view: "concept", id: request.subject }) },
      `${request.subject.slice(0, 8)}…`);
  return row([
    element("td", { class: "whole" }, moment(request.at_us)),
    spoken(request.operation),
    figure(took(request.took_us)),
    stageBar(request.stages, request.took_us),
    element("td", { class: request.status === "ok" ? null : "bad" }, spoken(request.status)),
    subject,
    figure(bytes(request.bytes_in)),
    figure(bytes(request.bytes_out)),
    figure(String(request.core)),
    request.peer,
  ]);
}

function slowWords({ threshold_us: threshold, seen, requests }) {
  if (threshold === null) return "Slow requests are not kept: the server was told so.";
  if (seen === 0) return `No request has taken longer than ${took(threshold)}.`;
  return `${counted(seen, "request")} took longer than ${took(threshold)} since the start; the `
    + `newest ${whole(requests.length)} are shown.`;
}

/** The table, kept up to date. */
function slowRequests() {
  const intro = element("p", { class: "note" }, "Asking …");
  const list = table("Slow requests", ["at", "operation", "#took", "where the time went", "status",
    "concept", "#in", "#out", "#core", "client"], []);
  const legend = element("ul", { class: "legend" }, STAGES.map(([, name], at) =>
    element("li", null, shape("svg", { width: 22, height: 8, "aria-hidden": true },
      shape("rect", { class: `stage${at}`, width: 22, height: 8 })), name)));
  const node = element("section", { class: "block", "aria-label": "Slow requests" },
    element("h2", null, "Slow requests"), intro, legend, list);
  let shown = "";
  const end = watch(() => question("/api/v1/slow", { limit: SLOW_SHOWN }), 2000, (answer) => {
    setText(intro, slowWords(answer));
    list.hidden = answer.requests.length === 0;
    legend.hidden = list.hidden;
    // What has not changed is not written again: it may be being read.
    const now = `${answer.seen} ${answer.requests[0]?.at_us}`;
    if (now === shown) return;
    shown = now;
    list.querySelector("tbody").replaceChildren(...answer.requests.map(slowRow));
  }, (error) => {
    if (error.status > 0) setText(intro, `Not known: ${error.message}.`);
  });
  return { node, end };
}
