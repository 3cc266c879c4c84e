// Units: a gate or a state of every unit while the model reads, and one unit looked at closely.

import { amount, palette, pixels, signed } from "./colour.js";
import { button, el, field, figure, fill, row, sheet, slider, table, visible } from "./dom.js";
import { drawn, picture } from "./picture.js";
import { heat, strip } from "./plot.js";
import { begin, passage } from "./read.js";
import { CLASSES, orders, scaleOf } from "./sorting.js";
import { around, Reading, toned } from "./text.js";

const STEPS = 2000;

export const units = {
	id: "units",
	title: "Units",
	lead: "Inside the network every unit has a value at every token. Choose a layer and a gate, and look for units that follow something you can name.",
	fits: (card) => Boolean(card.recurra.vocab) && card.recurra.task === "language_model",
	keys: [["↑ ↓", "the unit above, or below"], ["← →", "the token before, or behind"]],
	mount: (root, app) => new Units(root, app),
};

class Units {
	constructor(root, app) {
		Object.assign(this, { app, row: 0, column: 0 });
		const layers = app.card.recurra.layers || 1;
		this.layer = field("Layer", "select", {}, Array.from({ length: layers }, (_, k) => [k, String(k + 1)]));
		this.layer.control.value = String(layers - 1);
		this.gate = field("Gate or state", "select");
		this.sort = field("Sort by", "select", {}, [["memory", "memory"], ["class", "class"], ["order", "number"]]);
		for (const one of [this.layer, this.gate]) one.control.addEventListener("change", () => this.read());
		this.sort.control.addEventListener("change", () => this.sorted());
		this.text = field("Text", "textarea", { rows: 3, value: passage(app) });
		this.out = el("div", { class: "stack" });
		const look = button("Look", () => this.read(), { class: "main" });
		root.append(sheet([this.text], [this.layer, this.gate, this.sort, look]), this.out);
		this.build();
		begin(app, this.text.control, () => this.read());
	}

	build() {
		this.canvas = drawn("Units by tokens");
		this.unit = slider("Unit", 1, (k) => this.choose(k, this.column));
		this.token = slider("Token", 1, (k) => this.choose(this.row, k));
		this.said = el("p", { class: "meter" }, " ");
		this.reading = new Reading("Text shaded by one unit", {
			look: (item, span, k, light) => {
				toned(span, this.value(this.row, k) / this.scale.most, light);
				span.classList.toggle("here", k === this.column);
			},
			pick: (k) => this.choose(this.row, k),
		});
		this.fires = el("div", {});
		this.held = el("div", { class: "meter", "aria-live": "polite" });
		this.hold = button("Hold it at its mean", () => this.ablate());
		this.legend = drawn("The colours of values");
		this.least = el("span", {}, "");
		this.most = el("span", {}, "");
		this.parts = [
			picture("Units × tokens", el("div", {}, this.canvas, el("div", { class: "legend" }, this.least, this.legend, this.most),
				row(this.unit.wrap, this.token.wrap), this.said), [
				"A row is a unit, a column a token; sorted by memory, units that keep their values for long stand at the top.",
				"Some units change with every letter, others hold a fact over sentences: that is where the context is kept.",
				"Sort by class, and look for a unit that fires at line ends, or at capitals alone.",
			], { canvas: this.canvas, name: "units", numbers: () => this.numbers() }),
			el("div", { class: "two" },
				picture("One unit in the text", this.reading.box, [
					"Orange: above nought; blue: below; the line below a token is thicker, the further from it.",
					"What a unit is for shows in where it is high, and in how long it stays so.",
					"Move through the units with ↑ and ↓, until one draws a pattern.",
				]),
				picture("Where it fires", el("div", {}, this.fires, row(this.hold), this.held), [
					"The ten tokens with the largest values of this unit, and what stands around them.",
					"A unit that is needed costs bits when it is held at its mean: most single units cost next to nothing.",
					"Hold a unit from the top of the list, then one from the bottom.",
				])),
		];
	}

	async read() {
		const { app } = this;
		const text = this.text.control.value;
		if (!text) return;
		const body = { model: app.card.id, text, layer: Number(this.layer.control.value) };
		if (this.gate.control.value) body.name = this.gate.control.value;
		await app.run(async () => {
			const { tokens } = await app.backend.tokenize(app.card.id, text);
			const found = await app.backend.inspect({ ...body, start: 0, stop: Math.min(tokens.length, STEPS) });
			const known = await app.backend.score({ model: app.card.id, text: text.slice(0, 20_000) });
			if (!this.out.isConnected) return;
			app.shared.text = text;
			this.found = found;
			this.items = found.tokens.map((id, k) => ({ id, text: found.texts[k], nats: known.nats[k] ?? null }));
			fill(this.gate.control, found.names.map((name) => el("option", { value: name }, name)));
			this.gate.control.value = found.name;
			if (!this.out.children.length) fill(this.out, this.parts);
			this.scale = scaleOf(found.values);
			this.measured = orders(found.values, found.units.length, this.items);
			this.unit.control.max = String(found.units.length - 1);
			this.token.control.max = String(this.items.length - 1);
			this.held.textContent = "";
			this.reading.show(this.items);
			this.sorted();
		});
	}

	value(row, column) {
		return this.found.values[this.order[row] * this.items.length + column];
	}

	get order() {
		const { measured } = this;
		return { memory: measured.byMemory, class: measured.class, order: measured.order }[this.sort.control.value];
	}

	sorted() {
		if (!this.found) return;
		const { least, most, signed: both } = this.scale;
		const count = this.items.length;
		const { values } = this.found;
		const { order } = this;
		const rows = order.length;
		const low = both ? -most : least;
		const span = (both ? 2 * most : most - least) || 1;
		const colours = () => pixels(both ? (t) => signed(2 * t - 1, palette().low) : amount);
		this.draw = heat(this.canvas, {
			rows, columns: count, table: colours, height: Math.min(520, Math.max(200, rows)),
			at: (r, c) => (values[order[r] * count + c] - low) / span,
			cross: () => [this.row, this.column],
			onPick: (r, c) => this.choose(r, c),
		});
		this.least.textContent = figure(both ? -most : least);
		this.most.textContent = figure(most);
		strip(this.legend, both ? (t) => signed(2 * t - 1, palette().low) : amount);
		this.choose(Math.min(this.row, rows - 1), Math.min(this.column, count - 1));
	}

	choose(row, column) {
		if (!this.found) return;
		const changed = row !== this.row || !this.fires.children.length || this.shownOrder !== this.order;
		Object.assign(this, { row: Math.max(0, Math.min(this.order.length - 1, row)), column: Math.max(0, Math.min(this.items.length - 1, column)) });
		this.unit.control.value = String(this.row);
		this.token.control.value = String(this.column);
		const unit = this.found.units[this.order[this.row]];
		const { memory, best } = this.measured;
		const index = this.order[this.row];
		this.said.textContent = `Unit ${unit}: ${figure(this.value(this.row, this.column))} at token ${this.column + 1}, ${visible(this.items[this.column].text)}. It keeps its value for some ${figure(memory[index], 2)} tokens, and goes most with ${CLASSES[best[index].k][0]} (correlation ${figure(best[index].r, 2)}).`;
		this.draw();
		this.reading.paint();
		this.reading.reveal(this.column);
		if (!changed) return;
		this.shownOrder = this.order;
		const places = this.items.map((_, k) => k).sort((a, b) => this.value(this.row, b) - this.value(this.row, a)).slice(0, 10);
		fill(this.fires, table(`Unit ${unit}`, ["Value", "Before", "Token", "Behind"], places.map((k) => {
			const [before, token, behind] = around(this.items, k, 14);
			return [this.value(this.row, k), before, token, behind];
		})));
		this.app.announce(this.said.textContent);
	}

	async ablate() {
		const unit = this.found.units[this.order[this.row]];
		await this.app.run(async () => {
			const reply = await this.app.backend.whatif({
				model: this.app.card.id, tokens: this.items.map((item) => item.id), ablate: { layer: this.found.layer, unit },
			});
			const sum = (values) => values.reduce((a, b) => a + b, 0) / Math.LN2;
			const [before, after] = [sum(reply.nats), sum(reply.nats_changed)];
			const most = reply.changed.slice(0, 5).map((k) => visible(this.items[k].text)).join(" ");
			this.held.textContent = `Unit ${unit} held at ${figure(reply.value)}: ${figure(after - before)} bits more over ${this.items.length} tokens (${figure((100 * (after - before)) / before, 2)} %). Changed most: ${most}`;
		});
	}

	numbers() {
		const { memory, best } = this.measured;
		const count = this.items.length;
		const rows = this.order.map((unit) => {
			const values = this.found.values.subarray(unit * count, (unit + 1) * count);
			const mean = values.reduce((a, b) => a + b, 0) / count;
			return [String(this.found.units[unit]), mean, memory[unit], CLASSES[best[unit].k][0], best[unit].r];
		});
		return table("Units", ["Unit", "Mean", "Tokens kept", "Class", "Correlation"], rows);
	}

	key(key) {
		if (!this.found) return false;
		if (key === "ArrowUp") this.choose(this.row - 1, this.column);
		else if (key === "ArrowDown") this.choose(this.row + 1, this.column);
		else if (key === "ArrowLeft") this.choose(this.row, this.column - 1);
		else if (key === "ArrowRight") this.choose(this.row, this.column + 1);
		else return false;
		return true;
	}
}
