// The large view: one output at a time, beside its input if asked for, with everything that is known of its row.

const large = $("large");
let at = { place: 0, file: 0 }; // place in `wished`
let beside = false;

const largeRow = () => wished[at.place];

function openLarge(rowId, file) {
  const place = wished.findIndex((row) => row.id === rowId);
  if (place < 0) return;
  at = { place, file: Number(file) };
  large.showModal();
  large.focus();
  drawLarge();
  sayWhere();
}

/** The whole picture over its thumbnail, which is there at once. */
function wholePicture(source, thumb, label) {
  const frame = element("div", { class: "frame" });
  if (thumb) frame.append(element("img", { class: "soft", src: thumb, alt: source ? "" : label }));
  if (source) {
    const whole = element("img", { class: "whole", alt: label });
    whole.addEventListener("load", () => frame.classList.add("sharp"));
    whole.addEventListener("error", () => whole.remove());
    whole.src = source;
    frame.append(whole);
  }
  return frame;
}

function stageFor(row, file) {
  if (!file) return element("p", { class: "blank" }, element("bdi", null, row.reason || `${STATES[row.state]}…`));
  const original = originalOf(row, file);
  const thumb = thumbOf(file.thumb);
  const label = `${file.name} of row ${row.id}`;
  if (file.kind === "video" && original) return element("video", { src: original, controls: true, loop: true, poster: thumb, "aria-label": label });
  if (file.kind === "audio" && original) return element("audio", { src: original, controls: true, "aria-label": label });
  return wholePicture(file.kind === "image" ? original : null, thumb, label);
}

function drawLarge() {
  const row = largeRow();
  const file = row.files[at.file];
  const before = beside && file ? row.inputs.find((input) => thumbOf(input.thumb)) : null;
  $("stage").classList.toggle("two", Boolean(before));
  $("stage").replaceChildren(
    ...(before ? [wholePicture(null, thumbOf(before.thumb), `Input ${before.field}`)] : []), stageFor(row, file));
  $("facts").replaceChildren(...factsOf(row, file));
  drawStrip(row);
  $("previous").disabled = at.place === 0 && at.file === 0;
  $("next").disabled = at.place === wished.length - 1 && at.file >= row.files.length - 1;
  fetchAhead();
}

function sayWhere() {
  const row = largeRow();
  const file = row.files[at.file];
  say(file ? `${file.name}, row ${row.id}, ${at.place + 1} of ${wished.length}` : `Row ${row.id}, ${STATES[row.state]}`);
}

/** Tell those who listen; *loud*, those who look as well. */
function say(words, loud) {
  const box = $(large.open ? "said" : "heard"); // beside an open dialog nothing else is heard
  box.className = loud ? "loud" : "unseen";
  box.textContent = words;
}

/** The next picture is there when it is asked for. */
function fetchAhead() {
  const next = neighbour(1);
  const file = next && wished[next.place].files[next.file];
  if (file && file.kind === "image" && !settings.single) new Image().src = originalOf(wished[next.place], file);
}

function drawStrip(row) {
  const inputs = row.inputs.slice(0, 12).map((input) => element("div", { class: "input" }, inputPicture(input)));
  const outputs = row.files.map((file, index) => {
    const made = shot(row, index);
    made.setAttribute("aria-current", String(index === at.file));
    return made;
  });
  const words = (text) => element("span", { class: "label" }, text);
  $("strip").replaceChildren(
    ...(inputs.length ? [words("input"), ...inputs] : []), ...(outputs.length ? [words("output"), ...outputs] : []));
}

function fact(name, value, isCode) {
  return value === null || value === undefined || value === "" ? [] : [
    element("dt", null, element("bdi", null, ...name.split("_").flatMap((part, n) => (n ? ["_", element("wbr"), part] : [part])))),
    element("dd", null, element(isCode ? "code" : "bdi", { dir: "auto" }, String(value))),
  ];
}

function factsOf(row, file) {
  const cost = row.costMicro === null ? null : `${dollars(row.costMicro)} ${row.measured ? "measured" : "estimated"}`;
  const made = [
    element("p", { class: "facts" },
      element("span", { class: `pill ${row.state}` }, STATES[row.state]),
      element("span", null, `${(at.place + 1).toLocaleString("en")} of ${wished.length.toLocaleString("en")}`)),
    element("h2", null, element("bdi", null, row.id)),
  ];
  if (row.reason && file) made.push(element("p", { class: "reason" }, element("bdi", null, row.reason)));
  if (row.prompt) made.push(element("p", { class: "prompt", dir: "auto" }, row.prompt));
  if (file) made.push(reviewOf(row, file));
  made.push(element("dl", null,
    ...Object.entries(row.meta).flatMap(([name, value]) => fact(name, value)),
    ...Object.entries(row.options).flatMap(([name, value]) => fact(name, value)),
    ...row.inputs.flatMap((input) => fact(input.field, input.text)),
    ...fact("model", row.model), ...fact("cost", cost),
    ...fact("time", row.tookS === null ? null : duration(row.tookS)),
    ...fact("ended", row.at === null ? null : clock(row.at)),
    ...fact("attempt", row.attempt > 1 ? row.attempt : null),
    ...fact("request", row.requestId, true),
    ...(file ? fact("file", `${file.name}, ${file.width ? `${file.width} × ${file.height}, ` : ""}${size(file.bytes)}${file.blank ? ", blank: one colour" : ""}`) : [])));
  const original = file && originalOf(row, file);
  if (original) made.push(element("p", null, element("a", { href: original, target: "_blank", rel: "noopener" }, "Open the file")));
  return made;
}

function reviewOf(row, file) {
  const mark = markOf(row, file);
  if (!settings.live) return mark === "none" ? "" : element("p", { class: `verdict ${mark}` }, mark);
  return element("p", { class: "review" }, ...[["accepted", "Accept", "a"], ["rejected", "Reject", "r"]].map(([name, words, key]) =>
    element("button", { type: "button", "data-mark": name, class: name, "aria-pressed": String(mark === name), "aria-keyshortcuts": key },
      `${words} `, element("kbd", { "aria-hidden": "true" }, key))));
}

/** The output before or after this one, over rows; null at either end. */
function neighbour(by) {
  const file = at.file + by;
  if (file >= 0 && file < largeRow().files.length) return { place: at.place, file };
  const row = wished[at.place + by];
  return row ? { place: at.place + by, file: by > 0 ? 0 : Math.max(row.files.length - 1, 0) } : null;
}

function goTo(next) {
  if (!next) return;
  at = next;
  drawLarge();
  sayWhere();
}

const rowStep = (by) => (wished[at.place + by] ? { place: at.place + by, file: 0 } : null);

$("gallery").addEventListener("click", (event) => {
  const clicked = event.target.closest(".shot");
  if (clicked) openLarge(clicked.dataset.row, clicked.dataset.file);
});
$("strip").addEventListener("click", (event) => {
  const clicked = event.target.closest(".shot");
  if (clicked) goTo({ place: at.place, file: Number(clicked.dataset.file) });
  else if (event.target.closest(".input")) toggleBeside();
});
$("close").addEventListener("click", () => large.close());
$("previous").addEventListener("click", () => goTo(neighbour(-1)));
$("next").addEventListener("click", () => goTo(neighbour(1)));
$("stage").addEventListener("click", (event) => { if (event.target === $("stage")) large.close(); });

function toggleBeside() {
  beside = !beside;
  drawLarge();
}

const LARGE_KEYS = {
  ArrowRight: () => goTo(neighbour(1)),
  ArrowLeft: () => goTo(neighbour(-1)),
  ArrowDown: () => goTo(rowStep(1)),
  ArrowUp: () => goTo(rowStep(-1)),
  c: toggleBeside,
};

large.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in LARGE_KEYS)) return;
  if (event.target.closest("video, audio") && event.key.startsWith("Arrow")) return; // they seek
  event.preventDefault();
  LARGE_KEYS[event.key]();
});

large.addEventListener("close", () => {
  $("stage").replaceChildren(); // a film stops playing
  const row = largeRow();
  if (!row) return;
  pageNumber = Math.floor(at.place / PAGE_ROWS);
  show();
  focusShot(row.id, at.file);
  if (document.activeElement) document.activeElement.scrollIntoView({ block: "nearest" });
});
