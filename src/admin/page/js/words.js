// Numbers, times and names as people say them.

const inEnglish = new Intl.NumberFormat("en");

/** A number with three digits that count. */
function digits(number) {
  if (number === 0) return "0";
  const size = Math.abs(number);
  if (size >= 99.95) return number.toFixed(0);
  return number.toFixed(size >= 9.995 ? 1 : 2);
}

/** A whole number, in full. */
function whole(number) {
  return inEnglish.format(Math.round(number));
}

/** A number of things, shortened: 950, 12.3 k, 4.56 M. */
function count(number) {
  for (const [size, name] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (Math.abs(number) >= size * 0.9995) return digits(number / size) + name;
  }
  return Number.isInteger(number) ? String(number) : digits(number);
}

const rate = (number) => `${count(number)}/s`;

/** Bytes: 512 B, 3.21 MiB. */
function bytes(number) {
  let size = number;
  for (const name of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (Math.abs(size) < 1023.5 || name === "TiB") {
      return `${name === "B" ? size.toFixed(0) : digits(size)} ${name}`;
    }
    size /= 1024;
  }
  return "";
}

const byteRate = (number) => `${bytes(number)}/s`;

/** How long: microseconds in, 85.0 µs, 1.20 ms, 3.00 s out. */
function took(micros) {
  if (micros < 999.5) return `${digits(micros)} µs`;
  if (micros < 999_500) return `${digits(micros / 1e3)} ms`;
  return `${digits(micros / 1e6)} s`;
}

/** How long something has been so: the two greatest units. */
function age(micros) {
  const seconds = Math.floor(micros / 1e6);
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).map(([size, name], at) => {
    const over = at === 0 ? seconds : seconds % parts[first][0];
    return `${Math.floor(over / size)} ${name}`;
  }).join(" ");
}

const two = (number) => String(number).padStart(2, "0");

/** A time of day on this computer's clock, from milliseconds. */
function clock(millis) {
  const at = new Date(millis);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
}

/** A day and time, from microseconds. */
function moment(micros) {
  const at = new Date(micros / 1e3);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(at)}`;
}

/** What a program calls things by, in words. */
const spoken = (name) => name.replaceAll("_", " ");

/** "1 association", "2 associations". */
function counted(number, one, many) {
  return `${whole(number)} ${number === 1 ? one : many ?? `${one}s`}`;
}

/** The beginning of a text, at most this long, cut where a word ends if that is not far. */
function beginning(text, length) {
  const line = text.replace(/\s+/g, " ").trim();
  if (line.length <= length) return line;
  const cut = line.slice(0, length - 1);
  const blank = cut.lastIndexOf(" ");
  return `${(blank > length * 0.6 ? cut.slice(0, blank) : cut).replace(/[\s,;:]+$/, "")}…`;
}

/** How a concept is called: by its name, or by the beginning of its id. */
const called = (concept) => concept.name || `${concept.id.slice(0, 8)}…`;
