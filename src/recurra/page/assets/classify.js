// Classify: what a classifier holds of a text or a sequence, and which parts of it made it so.

import { button, el, facts, field, figure, fill, sheet, table, visible } from "./dom.js";
import { curve, picture } from "./picture.js";
import { Reading, toned } from "./text.js";

const MOST = 300;
const LINES = [["accent"], ["warm", [6, 4]], ["ink", [2, 3]], ["muted", [9, 3, 2, 3]]];

export const classify = {
	id: "classify",
	title: "Classify",
	lead: "Give the classifier a text, or a sequence of numbers, and see which parts of it speak for the label it chose.",
	fits: (card) => card.recurra.task === "sequence_classifier",
	keys: [],
	mount: (root, app) => new Classify(root, app),
};

class Classify {
	constructor(root, app) {
		this.app = app;
		this.reads = app.card.recurra.inputs !== "numbers";
		const wide = app.card.recurra.features || 1;
		const numbers = Array.from({ length: 12 }, (_, t) => Array.from({ length: wide }, (_, k) => figure(Math.sin((t + k) / 2), 2)).join(", ")).join("\n");
		const label = this.reads ? "Text" : `Steps, a line each, of ${wide} numbers`;
		this.text = field(label, "textarea", { rows: 5, value: this.reads ? "a lovely film , though the plot is awful" : numbers.replaceAll("–", "0") });
		this.out = el("div", { class: "stack" });
		root.append(sheet([this.text], [button("Classify", () => this.look(), { class: "main" })]), this.out);
		this.look();
	}

	parts() {
		const text = this.text.control.value;
		if (this.reads) {
			const words = (text.match(/\S+\s*/g) || []).slice(0, MOST);
			return { shown: words, make: (kept) => words.filter((_, k) => kept(k)).join("").trim() || " " };
		}
		const rows = text.split("\n").map((line) => line.split(/[\s,;]+/).filter(Boolean).map(Number)).filter((row) => row.length).slice(0, MOST);
		const mean = rows[0]?.map((_, k) => rows.reduce((sum, row) => sum + row[k], 0) / rows.length);
		return { shown: rows.map((row) => `${row.join(", ")}\n`), make: (kept) => rows.map((row, k) => (kept(k) ? row : mean)), upTo: (n) => rows.slice(0, n) };
	}

	async look() {
		const { app } = this;
		const { shown, make, upTo } = this.parts();
		if (!shown.length) return;
		await app.run(async () => {
			const without = shown.map((_, k) => make((j) => j !== k));
			const prefixes = shown.map((_, k) => (upTo ? upTo(k + 1) : make((j) => j <= k)));
			const found = await app.backend.task("classify", app.card.id, [make(() => true), ...without, ...prefixes]);
			if (this.out.isConnected) this.show(shown, found[0], found.slice(1, shown.length + 1), found.slice(shown.length + 1));
		});
	}

	show(shown, whole, without, prefixes) {
		const { label } = whole;
		const share = (one, name = label) => one.probabilities[name] ?? 0;
		const evidence = without.map((one) => share(whole) - share(one));
		const most = Math.max(0.02, ...evidence.map(Math.abs));
		const items = shown.map((text, k) => ({ text, evidence: evidence[k] }));
		this.reading = new Reading("Evidence", { look: (item, span, _, light) => toned(span, item.evidence / most, light) });
		const names = Object.entries(whole.probabilities).sort((a, b) => b[1] - a[1]);
		const x = shown.map((_, k) => k + 1);
		fill(this.out,
			facts(names.slice(0, 4).map(([name, p]) => [name, `${figure(100 * p)} %`])),
			picture(`Evidence for ${label.slice(0, 60)}`, this.reading.box, [
				"Orange parts speak for the label, blue ones against it; the line below is thicker, the more they do.",
				this.reads ? "Each word is left out by itself: what the probability of the label loses is that word's evidence." : "Each step is replaced by the mean of all steps: what the probability of the label loses is that step's evidence.",
				"Look for a part that speaks for the wrong label, and change it.",
			], { numbers: () => table(`Evidence for ${label}`, ["Part", "Evidence"], items.map((item) => [visible(item.text.trim()), item.evidence])) }),
			curve("As it reads", {
				lines: names.slice(0, 4).map(([name], k) => ({ name: name.slice(0, 24), x, y: prefixes.map((one) => share(one, name)), colour: LINES[k][0], dash: LINES[k][1] })),
				xLabel: this.reads ? "word" : "step", yLabel: "probability", zero: true,
			}, [
				"The probabilities after each part, as if the text ended there.",
				"A recurrent classifier can be asked at any time: this is what a stream of it says.",
				"Put the decisive word first, then last.",
			], "as-it-reads"));
		this.reading.show(items);
		this.app.announce(`${label}, ${figure(100 * share(whole))} percent.`);
	}
}
