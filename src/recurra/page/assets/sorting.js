// How units are put in an order: by how long they keep a value, by what they go with.

/** Classes of tokens that a unit may go with: name and test of a token's text. */
export const CLASSES = [
	["line ends", (text) => text.includes("\n")],
	["blanks", (text) => text === " " || text.startsWith(" ")],
	["capitals", (text) => /\p{Lu}/u.test(text)],
	["vowels", (text) => /^ ?[aeiouy]$/iu.test(text)],
	["consonants", (text) => /^ ?[bcdfghjklmnpqrstvwxz]$/iu.test(text)],
	["punctuation", (text) => /\p{P}/u.test(text)],
	["digits", (text) => /\p{N}/u.test(text)],
	["the place in the line", null],
];

/** The range of values: {least, most, signed}; `most` is at least the largest size. */
export function scaleOf(values) {
	let [least, most] = [Infinity, -Infinity];
	for (const value of values) {
		if (value < least) least = value;
		if (value > most) most = value;
	}
	const both = least < -1e-6;
	return { least, most: both ? Math.max(-least, most, 1e-9) : Math.max(most, 1e-9), signed: both };
}

/** Orders of units × tokens: by number, by memory, by class; with what they are made of. */
export function orders(values, units, items) {
	const count = items.length;
	let column = 0;
	const marks = CLASSES.map(([, test]) => items.map((item) => {
		if (test) return test(item.text) ? 1 : 0;
		column = item.text.includes("\n") ? 0 : column + 1;
		return column;
	}));
	const scored = marks.map(standard);
	const memory = [];
	const best = [];
	for (let unit = 0; unit < units; unit += 1) {
		const own = standard(values.subarray(unit * count, (unit + 1) * count));
		memory.push(kept(own));
		let found = { k: 0, r: 0 };
		scored.forEach((mark, k) => {
			let r = 0;
			for (let t = 0; t < count; t += 1) r += own[t] * mark[t];
			r /= count;
			if (Math.abs(r) > Math.abs(found.r)) found = { k, r };
		});
		best.push(found);
	}
	const order = Array.from({ length: units }, (_, k) => k);
	return {
		order,
		memory,
		best,
		get class() {
			return (this.byClass ||= [...order].sort((a, b) => best[a].k - best[b].k || Math.abs(best[b].r) - Math.abs(best[a].r)));
		},
		get byMemory() {
			return (this.kept ||= [...order].sort((a, b) => memory[b] - memory[a]));
		},
	};
}

/** Values with mean 0 and deviation 1; all 0 where they do not vary. */
function standard(values) {
	const count = values.length || 1;
	let mean = 0;
	for (const value of values) mean += value;
	mean /= count;
	let square = 0;
	for (const value of values) square += (value - mean) ** 2;
	const deviation = Math.sqrt(square / count);
	return Float64Array.from(values, (value) => (deviation > 1e-9 ? (value - mean) / deviation : 0));
}

/** How many tokens a value is kept: the first lag whose correlation is below 1/e. */
function kept(own) {
	const count = own.length;
	for (let lag = 1; lag < Math.min(count, 200); lag += lag < 20 ? 1 : 5) {
		let r = 0;
		for (let t = lag; t < count; t += 1) r += own[t] * own[t - lag];
		if (r / (count - lag) < Math.exp(-1)) return lag;
	}
	return Math.min(count, 200);
}
