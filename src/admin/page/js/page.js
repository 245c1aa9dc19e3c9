// The page: which views there are for whoever serves it, which one is shown, the theme, the keys.

const THEMES = ["system", "light", "dark"];

/** The browser may forbid that anything is kept; then the choice lasts as long as the page. */
function remembered(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch {
    // As said above.
  }
  return null;
}

function useTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  setText(byId("theme"), `Theme: ${theme}`);
}

function listenToTheme() {
  let theme = remembered("theme");
  if (!THEMES.includes(theme)) theme = "system";
  useTheme(theme);
  byId("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    remembered("theme", theme);
    useTheme(theme);
  });
}

/** A view that never differs from one place to another. */
const still = (begin) => (main) => ({ show() {}, end: begin(main) });

/** The views by what serves the page. */
const VIEWS = {
  server: { overview: still(serverView), explorer: (main) => new Explorer(main) },
  master: { overview: still(masterView) },
  agent: { overview: still(agentView) },
};

let shownName = "";
let shownView = null;

function showPlace(kind) {
  // Any other address behind the # is a place in this page, like that of the skip link.
  if (location.hash !== "" && !location.hash.startsWith("#/")) return;
  const to = place(location.hash);
  const name = to.view === "overview" || !VIEWS[kind].explorer ? "overview" : "explorer";
  if (name !== shownName) {
    shownView?.end();
    shownName = name;
    shownView = VIEWS[kind][name](byId("main"));
  }
  for (const link of byId("views").children) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shownView.show(to);
}

function listenToKeysOf(kind) {
  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, select, textarea");
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!VIEWS[kind].explorer) return;
    event.preventDefault();
    if (shownName !== "explorer") {
      go({ view: "explore" });
      showPlace(kind);
    }
    shownView.find();
  });
}

function start(kind) {
  document.body.dataset.kind = kind;
  setText(byId("kind"), kind);
  const views = [["overview", "Overview", "#/"], ["explorer", "Explore", "#/explore"]];
  byId("views").replaceChildren(...views.filter(([name]) => VIEWS[kind][name])
    .map(([name, text, href]) => element("a", { href, "data-view": name }, text)));
  byId("views").hidden = !VIEWS[kind].explorer;
  if (kind === "server") sampleServer();
  listenToKeysOf(kind);
  addEventListener("hashchange", () => showPlace(kind));
  showPlace(kind);
}

listenToTheme();
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
const endAsking = watch(() => "/api/v1", 1000, ({ kind }) => {
  endAsking();
  if (kind in VIEWS) start(kind);
  else say("unwell", `this page does not know what a "${kind}" is`);
}, saySilence, 3000);
