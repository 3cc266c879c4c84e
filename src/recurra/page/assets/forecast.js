// Forecast: what follows a table of numbers, as a fan of quantiles; and what a changed table changes.

import { button, el, field, fill, row, table } from "./dom.js";
import { curve } from "./picture.js";

export const forecast = {
	id: "forecast",
	title: "Forecast",
	lead: "A table in, its future out: not one line but a fan, as wide as the model is unsure. Change a value, or a covariate, and see what moves.",
	fits: (card) => card.recurra.task === "forecaster",
	keys: [],
	mount: (root, app) => new Forecast(root, app),
};

class Forecast {
	constructor(root, app) {
		this.app = app;
		this.text = field("Table, as CSV with a line of names", "textarea", { rows: 8, value: app.shared.table ?? "" });
		const file = field("or a file", "file", { accept: ".csv,text/csv,text/plain" });
		file.control.addEventListener("change", async () => {
			const [given] = file.control.files;
			if (!given) return;
			this.text.control.value = await given.slice(0, 900_000).text();
			this.look();
		});
		this.which = field("Series and column", "select");
		this.which.control.addEventListener("change", () => this.show());
		this.out = el("div", { class: "stack" });
		root.append(el("div", { class: "card" }, this.text.wrap, row(button("Forecast", () => this.look(), { class: "main" }), file.wrap, this.which.wrap),
		el("dl", { class: "says" }, el("dt", {}, "Try"), el("dd", {}, "Paste the table the model was trained on, with fewer rows or with later ones."))), this.out);
		if (this.text.control.value) this.look();
	}

	async look() {
		const { app } = this;
		const text = this.text.control.value;
		if (!text.trim()) return;
		await app.run(async () => {
			const [found] = await app.backend.task("forecast", app.card.id, [text]);
			if (!this.out.isConnected) return;
			app.shared.table = text;
			this.before = this.found;
			this.found = found.flatMap((one) => Object.entries(one).filter(([, value]) => value?.mean).map(([column, value]) => ({ series: String(one.series ?? ""), times: one.times, column, ...value })));
			const chosen = Math.max(0, Number(this.which.control.value) || 0);
			fill(this.which.control, this.found.map((one, k) => el("option", { value: k }, `${one.series} ${one.column}`.trim())));
			this.which.control.value = String(Math.min(chosen, this.found.length - 1));
			this.show();
		});
	}

	show() {
		const one = this.found?.[Number(this.which.control.value)];
		if (!one) return;
		const past = history(this.text.control.value, one).slice(-Math.max(96, 3 * one.mean.length));
		const old = this.before?.find((other) => other.series === one.series && other.column === one.column);
		const x = one.mean.map((_, k) => past.length + k + 1);
		const levels = Object.keys(one.quantiles || {}).map(Number).sort((a, b) => a - b);
		const at = (level) => one.quantiles[Object.keys(one.quantiles).find((key) => Number(key) === level)];
		const bands = levels.filter((level) => level < 0.5 && levels.some((other) => Math.abs(other - (1 - level)) < 1e-9))
			.map((level) => ({ x, low: at(level), high: at(levels.find((other) => Math.abs(other - (1 - level)) < 1e-9)), colour: "accent", alpha: 0.22 }));
		const lines = [
			{ name: "past", x: past.map((_, k) => k + 1), y: past, colour: "ink" },
			{ name: "median", x, y: one.median, colour: "accent", width: 2.5 },
			...levels.filter((level) => level !== 0.5).map((level) => ({ name: `${level}`, x, y: at(level), colour: "accent", width: 0.5, quiet: true })),
		];
		if (old && JSON.stringify(old.median) !== JSON.stringify(one.median)) lines.push({ name: "before the change", x, y: old.median, colour: "warm", dash: [6, 4] });
		const spec = { lines, bands, xLabel: "step", yLabel: one.column, height: 320, mark: past.length ? past.length + 0.5 : null };
		fill(this.out, curve(`Forecast of ${`${one.series} ${one.column}`.trim().slice(0, 80)}`, spec, [
			`The past, then the median of what may follow${bands.length ? `, in bands of quantiles ${levels.join(", ")}` : ""}; dashed, the forecast of the table before it was changed.`,
			"A forecast without its spread says nothing of how far it may be trusted: the fan widens with the horizon.",
			"Change the last value, or a covariate of the future, press Forecast, and compare the two lines.",
		], "forecast"));
		this.app.announce(`Forecast of ${one.mean.length} steps.`);
	}
}

/** The past of a column in a table: the rows of its series, in their order. */
export function history(text, one) {
	const rows = text.trim().split("\n").map((line) => line.split(",").map((cell) => cell.trim().replace(/^"|"$/g, "")));
	const column = rows[0].indexOf(one.column);
	if (column < 0) return [];
	const series = one.series && rows.slice(1).some((row) => row.includes(one.series));
	return rows.slice(1).filter((row) => !series || row.includes(one.series)).map((row) => (row[column] === "" ? NaN : Number(row[column])));
}
