// The line that says how whatever is watched is, in words; and whether it answers at all.

const HOW = {
  asking: "Asking …",
  well: "Healthy and ready",
  unready: "Not ready",
  unwell: "Not well",
  gone: "No answer",
};

let goneSince = null;

/** Says how it is; told to screen readers only where the words change. */
function say(how, details, joint = ": ") {
  const line = byId("state");
  line.dataset.state = how;
  setText(line, details ? `${HOW[how]}${joint}${details}` : HOW[how]);
  const what = document.body.dataset.kind ?? "";
  document.title = how === "well" ? `Sutra ${what}` : `${HOW[how]} – Sutra ${what}`;
}

/** An answer came. */
function sayAnswer({ healthy, ready, status }) {
  goneSince = null;
  if (ready === false) say("unready", status);
  else if (healthy === false) say("unwell", status);
  else say("well", status === "ok" ? null : status);
}

/** None came. */
function saySilence(error) {
  if (error.status > 0) {
    goneSince = null;
    return say(error.status === 503 ? "unready" : "unwell", error.message);
  }
  goneSince ??= Date.now();
  return say("gone", `since ${clock(goneSince)}. It is asked again each second; what is shown is `
    + "from before.", " ");
}

/** What does not change from one second to the next; `pairs` of names and words. */
function sayFacts(pairs) {
  const facts = byId("facts");
  if (facts.dataset.names !== pairs.map(([name]) => name).join()) {
    facts.dataset.names = pairs.map(([name]) => name).join();
    facts.replaceChildren(...terms(pairs.map(([name]) => [name, " "])));
  }
  [...facts.querySelectorAll("dd")].forEach((place, at) => setText(place, pairs[at][1]));
}
