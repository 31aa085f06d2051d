// The rows of the page: how a record is read, and which rows are shown in which order.

const settings = JSON.parse(document.getElementById("settings").textContent);
const rows = [];
const rowById = new Map();
const marks = new Map(Object.entries(settings.marks));

const STATES = {
  collected: "collected", failed: "failed", cancelled: "cancelled", in_doubt: "in doubt",
  ready: "downloading", submitted: "at the provider", submitting: "being sent", pending: "pending",
};

/** The record of `rows.Shown` as an object. */
function unpack(record) {
  const [id, state, model, attempt, prompt, inputs, options, meta, costMicro, measured, tookS, at, reason, cause,
    requestId, asked, files, place] = record;
  return {
    id, state, model, attempt, prompt, options, meta, costMicro, measured, tookS, at, reason, cause, requestId, asked,
    inputs: inputs.map(([field, text, thumb]) => ({ field, text, thumb })),
    files: files.map(([name, kind, width, height, bytes, thumb, blank]) =>
      ({ name, kind, width, height, bytes, thumb, blank })),
    place, searched: null,
  };
}

/** Take in records, in any order; a row that is known already is replaced. */
function take(records) {
  for (const record of records) {
    const row = unpack(record);
    const known = rowById.get(row.id);
    row.index = known ? known.index : rows.length;
    rows[row.index] = row;
    rowById.set(row.id, row);
  }
}

/** All that a search looks at, made when a row is first searched. */
function searchable(row) {
  if (row.searched === null) {
    row.searched = [row.id, row.prompt, row.reason, row.model, row.requestId, ...Object.values(row.meta),
      ...row.inputs.map((input) => input.text), ...row.files.map((file) => (file.blank ? `${file.name} blank` : file.name))].join("\n").toLowerCase();
  }
  return row.searched;
}

const markOf = (row, file) => marks.get(`${row.id}/${file.name}`) || "none";

const wish = { text: "", states: new Set(), model: "", cause: "", mark: "", meta: {}, sort: "manifest" };

function isWished(row) {
  if (wish.states.size && !wish.states.has(row.state)) return false;
  if (wish.model && row.model !== wish.model) return false;
  if (wish.cause && row.cause !== wish.cause) return false;
  for (const name in wish.meta) if (wish.meta[name] && row.meta[name] !== wish.meta[name]) return false;
  if (wish.mark && !row.files.some((file) => markOf(row, file) === wish.mark)) return false;
  return !wish.text || wish.text.split(/\s+/).every((word) => searchable(row).includes(word));
}

const STILL_GOING = new Set(["ready", "submitted", "submitting", "pending"]);
const byPlace = (a, b) => a.place - b.place;
const largestFirst = (value) => (a, b) => (value(b) ?? -1) - (value(a) ?? -1) || byPlace(a, b);
const ORDERS = {
  manifest: byPlace,
  newest: largestFirst((row) => (STILL_GOING.has(row.state) ? -1 : row.at)),
  slowest: largestFirst((row) => row.tookS),
  costliest: largestFirst((row) => row.costMicro),
  id: (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
};

const wishedRows = () => rows.filter(isWished).sort(ORDERS[wish.sort] || byPlace);

/** How often each value stands in the rows, the most frequent first. */
function tally(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

// What the address says after # is what is shown, so that a view can be kept and linked to.

function readAddress() {
  const asked = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  wish.text = (asked.get("text") || "").toLowerCase();
  wish.states = new Set((asked.get("state") || "").split(",").filter(Boolean));
  wish.model = asked.get("model") || "";
  wish.cause = asked.get("cause") || "";
  wish.mark = asked.get("mark") || "";
  wish.sort = asked.get("sort") in ORDERS ? asked.get("sort") : settings.live ? "newest" : "manifest";
  wish.meta = {};
  for (const [name, value] of asked) if (name.startsWith("meta.")) wish.meta[name.slice(5)] = value;
}

function writeAddress() {
  const said = new URLSearchParams();
  if (wish.text) said.set("text", wish.text);
  if (wish.states.size) said.set("state", [...wish.states].join(","));
  for (const name of ["model", "cause", "mark"]) if (wish[name]) said.set(name, wish[name]);
  for (const name in wish.meta) if (wish.meta[name]) said.set(`meta.${name}`, wish.meta[name]);
  if (wish.sort !== (settings.live ? "newest" : "manifest")) said.set("sort", wish.sort);
  history.replaceState(null, "", said.size ? `#${said}` : "#pictures");
}

// Words and addresses.

/** An element with attributes and children; text is always set as text. */
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function dollars(micro) {
  if (micro === null) return "price unknown";
  const places = micro % 10000 ? 4 : 2;
  return `$${(micro / 1e6).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: places })}`;
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

function size(bytes) {
  for (const unit of ["B", "kB", "MB"]) {
    if (bytes < 1000) return `${unit === "B" ? bytes : bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
  return `${bytes.toFixed(1)} GB`;
}

const clock = (at) => new Date(at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Where a thumbnail is: inside the page, or beside it; null where there is none. */
function thumbOf(key) {
  if (!key) return null;
  if (!settings.single) return `thumbs/${key.slice(0, 2)}/${key}.webp`;
  return settings.inlined[key] ? `data:image/webp;base64,${settings.inlined[key]}` : null;
}

/** Where a whole file is; null in a page that travels alone. */
const originalOf = (row, file) =>
  settings.single ? null : `${settings.originals}/${encodeURIComponent(row.id)}/${encodeURIComponent(file.name)}`;
