// Elements without markup: whatever a model or a user says becomes text, and nothing else.

/** An element. `on` are listeners, `style` goes through CSSOM, other names are attributes. */
export function el(tag, props = {}, ...children) {
	const node = document.createElement(tag);
	for (const [name, value] of Object.entries(props)) {
		if (value === undefined || value === null || value === false) continue;
		if (name === "on") {
			for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
		} else if (name === "style") {
			for (const [key, set] of Object.entries(value)) node.style.setProperty(key, set);
		} else if (name === "value" || name === "checked") {
			node[name] = value;
		} else {
			node.setAttribute(name, value === true ? "" : String(value));
		}
	}
	node.append(...children.flat().filter((child) => child !== null && child !== undefined));
	return node;
}

/** A button that does something. */
export function button(label, press, props = {}) {
	return el("button", { type: "button", ...props, on: { click: press } }, label);
}

let fields = 0;

/** A control with its label. `kind` is a tag, or the type of an input. */
export function field(label, kind, props = {}, options = []) {
	const id = `f${(fields += 1)}`;
	const tag = ["select", "textarea"].includes(kind) ? kind : "input";
	const control = el(tag, { id, ...(tag === "input" ? { type: kind } : {}), ...props });
	for (const [value, text] of options) control.append(el("option", { value }, text));
	const wrap = el("div", { class: `field ${kind}` }, el("label", { for: id }, label), control);
	return { wrap, control };
}

/** A slider from 0 to `most`; `go` is called with its value. */
export function slider(label, most, go) {
	const made = field(label, "range", { min: 0, max: Math.max(1, most), value: 0 });
	made.control.addEventListener("input", () => go(Number(made.control.value)));
	return made;
}

/** Figures with their names: [name, text or number]. */
export function facts(pairs) {
	return el("dl", { class: "facts" }, pairs.map(([name, value]) =>
		el("div", {}, el("dt", {}, name), el("dd", {}, typeof value === "string" ? value : figure(value)))));
}

/** Where an arrow key leads: -1, 1, or 0 for any other key. */
export const arrow = (key) => ({ ArrowLeft: -1, ArrowRight: 1 })[key] || 0;

/** Controls in a row. */
export function row(...children) {
	return el("div", { class: "row" }, ...children);
}

/** What a view is given: fields, and below them a row of controls. */
export function sheet(fields, controls) {
	return el("div", { class: "card" }, fields.map((one) => one.wrap ?? one), row(controls.map((one) => one.wrap ?? one)));
}

/** Replace what an element holds. */
export function fill(node, ...children) {
	node.replaceChildren(...children.flat().filter((child) => child !== null));
}

/** A token as it is shown: what cannot be seen gets a sign. */
export function visible(piece) {
	if (piece === "") return "∅";
	return piece.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll("\r", "␍").replaceAll(" ", "␣")
		.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu, "�");
}

/** A token in running text: a line end is drawn and kept. */
export function running(piece) {
	return piece.replaceAll("\n", "⏎\n").replaceAll("\t", "⇥")
		.replace(/[^\P{Cc}\n]|[\p{Co}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, "�");
}

/** A number for people: three digits, or none where there is no number. */
export function figure(value, digits = 3) {
	if (value === null || value === undefined || !Number.isFinite(value)) return "–";
	if (Number.isInteger(value)) return value.toLocaleString("en-GB");
	const small = Math.abs(value) < 1e-4 && value !== 0;
	return small ? value.toExponential(1) : String(Number(value.toPrecision(digits)));
}

/** A table of rows; numbers stand at the right. */
export function table(caption, heads, rows) {
	const cell = (value) =>
		el("td", typeof value === "number" ? { class: "number" } : {},
			typeof value === "number" ? figure(value, 4) : value);
	return el("table", {},
		el("caption", {}, caption),
		el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
		el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell)))));
}

/** Call at most once a frame. */
export function later(work) {
	let waiting = false;
	return () => {
		if (waiting) return;
		waiting = true;
		requestAnimationFrame(() => {
			waiting = false;
			work();
		});
	};
}
