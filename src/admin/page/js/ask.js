// One question to this page's own server, and what can come of it.

/** What the server said no to, or that it said nothing (status 0). */
class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** How long an answer may take, in milliseconds; the server itself gives up after 8 s. */
const PATIENCE = 10000;

/** The JSON at a path. Throws `Refused`; an abort by `signal` is thrown as it is. */
async function ask(path, { signal, patience = PATIENCE } = {}) {
  const late = AbortSignal.timeout(patience);
  let answer;
  let body;
  try {
    answer = await fetch(path, {
      signal: signal ? AbortSignal.any([signal, late]) : late,
      cache: "no-store",
      credentials: "omit",
    });
    body = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, late.aborted ? `no answer within ${patience / 1e3} s` : "no answer");
  }
  let value;
  try {
    value = JSON.parse(body);
  } catch {
    throw new Refused(answer.status, `an answer that is no JSON (HTTP ${answer.status})`);
  }
  if (!answer.ok) {
    const said = value.error?.message ?? value.status ?? "no reason was given";
    throw new Refused(answer.status, said);
  }
  return value;
}

/** A path with what is asked; parts that are empty are left out. */
function question(path, parts) {
  const given = Object.entries(parts).filter(([, value]) =>
    value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(given).toString();
  return query ? `${path}?${query}` : path;
}

/**
 * Asks for `path()` again and again, `every` milliseconds, one question at a time, and not while
 * nobody sees the page. Returns what ends it.
 */
function watch(path, every, answered, failed, patience) {
  let timer = 0;
  let asking = null;
  let isOver = false;
  async function look() {
    clearTimeout(timer);
    if (isOver || asking || document.hidden) return;
    const began = performance.now();
    asking = new AbortController();
    try {
      const answer = await ask(path(), { signal: asking.signal, patience });
      if (!isOver) answered(answer);
    } catch (error) {
      if (!(error instanceof Refused)) {
        if (isOver) return;
        throw error;
      }
      if (!isOver) failed?.(error);
    } finally {
      asking = null;
      const left = every - (performance.now() - began);
      if (!isOver && !document.hidden) timer = setTimeout(look, Math.max(left, every / 4));
    }
  }
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    isOver = true;
    clearTimeout(timer);
    asking?.abort();
    document.removeEventListener("visibilitychange", look);
  };
}
