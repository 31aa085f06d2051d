// What makes the page live: rows, figures and marks as the server sends them; and the beginning of the page.

function markShown(row, file, mark) {
  if (mark === "none") marks.delete(`${row.id}/${file.name}`);
  else marks.set(`${row.id}/${file.name}`, mark);
}

/** Mark the output under the focus or in the large view, and go on to the next at once: the next key is for that. */
async function review(mark) {
  const focused = document.activeElement && document.activeElement.closest("#gallery .shot");
  const row = large.open ? largeRow() : focused && rowById.get(focused.dataset.row);
  const file = row && row.files[large.open ? at.file : Number(focused.dataset.file)];
  if (!file) return;
  const before = markOf(row, file);
  markShown(row, file, mark);
  goOn(mark !== "none");
  say(`${file.name} of row ${row.id}: ${mark === "none" ? "not marked" : mark}`);
  if (await isKept(row, file, mark)) return;
  markShown(row, file, before);
  goOn(false);
  say(`The mark of ${file.name}, row ${row.id}, was not kept. Is batchgen watch still running?`, true);
}

async function isKept(row, file, mark) {
  const body = JSON.stringify({ row: row.id, file: file.name, mark });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("marks", { method: "POST", headers, body }).catch(() => null);
  return answer !== null && answer.ok;
}

/** Draw what is marked, and go to the next output if *further*. */
function goOn(further) {
  const next = large.open && further ? neighbour(1) : null;
  if (next) goTo(next);
  else if (large.open) drawLarge();
  show();
  if (further && !large.open) step(1);
}

const REVIEW_KEYS = { a: "accepted", r: "rejected", u: "none" };

function tell(words, kind) {
  $("live").hidden = false;
  $("live").className = `live ${kind || "off"}`;
  $("live").textContent = words;
}

let waiting = 0;
let unseen = 0;
let drawMs = 0;

/** Draw again soon, once for many changes; the order of pictures that are looked at is left alone. */
function renewSoon(landed, loading) {
  unseen += landed;
  if (waiting) return;
  // While rows pour in, most of the time is for them and for whoever uses the page.
  waiting = setTimeout(() => {
    waiting = 0;
    const begun = performance.now();
    offer();
    if (large.open || (!loading && (pageNumber > 0 || $("gallery").contains(document.activeElement)))) {
      wished = wished.map((row) => rowById.get(row.id));
      show();
      $("news").hidden = !unseen;
      $("news").textContent = `Show ${unseen.toLocaleString("en")} new ${unseen === 1 ? "row" : "rows"}`;
    } else {
      unseen = 0;
      $("news").hidden = true;
      renew(true);
    }
    drawMs = performance.now() - begun;
  }, Math.max(200, 8 * drawMs));
}

/** Put what the server wrote into the element with this id; what was unfolded there stays so. */
function refresh(id, text) {
  const parsed = new DOMParser().parseFromString(text, "text/html");
  const opened = [...$(id).querySelectorAll("details")].map((each) => each.open);
  $(id).replaceChildren(...parsed.body.childNodes);
  $(id).querySelectorAll("details").forEach((each, n) => { each.open = Boolean(opened[n]); });
}

function listen() {
  const source = new EventSource("events");
  source.addEventListener("open", () => tell("live", "on"));
  source.addEventListener("error", () => tell("not connected, trying again"));
  source.addEventListener("rows", (event) => {
    const records = JSON.parse(event.data);
    const loading = rows.length < settings.total;
    const had = new Set(records.filter(([id]) => rowById.has(id) && rowById.get(id).files.length).map(([id]) => id));
    take(records);
    settings.total = Math.max(settings.total, rows.length);
    const landed = records.filter(([id]) => !had.has(id) && rowById.get(id).files.length).length;
    renewSoon(loading ? 0 : landed, loading);
  });
  source.addEventListener("part", (event) => Object.entries(JSON.parse(event.data)).forEach(([id, text]) => refresh(id, text)));
  source.addEventListener("marks", (event) => {
    marks.clear();
    for (const [output, mark] of Object.entries(JSON.parse(event.data))) marks.set(output, mark);
    offerChoices();
    show();
    if (large.open) drawLarge();
  });
}

/** Rows in side files come one file after the other, so that the page stays quick while they do. */
function loadChunks(names) {
  if (!names.length) return;
  const script = element("script", { src: names[0] });
  script.addEventListener("load", () => loadChunks(names.slice(1)));
  script.addEventListener("error", () => { $("found").textContent += `; ${names[0]} is missing beside this page`; });
  document.body.append(script);
}

window.batchgenRows = (records) => {
  take(records);
  if (rows.length === settings.total || records.length === 0) offer();
  renew(true);
};

if (settings.live) {
  $("review-keys").hidden = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
    if (event.key in REVIEW_KEYS) review(REVIEW_KEYS[event.key]);
  });
  $("facts").addEventListener("click", (event) => {
    const button = event.target.closest("[data-mark]");
    if (button) review(button.getAttribute("aria-pressed") === "true" ? "none" : button.dataset.mark);
  });
  $("news").addEventListener("click", () => {
    unseen = 0;
    $("news").hidden = true;
    renew();
  });
}

take(JSON.parse($("rows").textContent));
fromAddress();
if (settings.live) listen();
else loadChunks(settings.chunks);
