// Paired comparisons: sums of differences, and shares of choices, with their intervals.

const Z = 1.959964;

/** The sum of paired differences with its 95 % interval, from means of blocks of neighbours, which
 *  are less alike than neighbours are: {sum, low, high, blocks}. */
export function paired(differences, block = 16) {
	const sum = differences.reduce((a, b) => a + b, 0);
	const count = Math.floor(differences.length / block);
	if (count < 4) return { sum, low: null, high: null, blocks: count };
	const sums = Array.from({ length: count }, (_, k) => differences.slice(k * block, (k + 1) * block).reduce((a, b) => a + b, 0));
	const mean = sums.reduce((a, b) => a + b, 0) / count;
	const variance = sums.reduce((a, b) => a + (b - mean) ** 2, 0) / (count - 1);
	const half = student(count - 1) * Math.sqrt(variance * count) * (differences.length / (count * block));
	return { sum, low: sum - half, high: sum + half, blocks: count };
}

/** The share of wins, a tie counting half, with Wilson's 95 % interval: {share, low, high, n}. */
export function wins(won, lost, tied = 0) {
	const n = won + lost + tied;
	if (!n) return { share: null, low: null, high: null, n };
	const p = (won + tied / 2) / n;
	const middle = (p + Z ** 2 / (2 * n)) / (1 + Z ** 2 / n);
	const half = (Z / (1 + Z ** 2 / n)) * Math.sqrt((p * (1 - p)) / n + Z ** 2 / (4 * n ** 2));
	return { share: p, low: Math.max(0, middle - half), high: Math.min(1, middle + half), n };
}

/** The 97.5 % point of Student's t, by Cornish and Fisher's expansion: to 0.3 % from 4 degrees on. */
export function student(degrees) {
	const exact = { 1: 12.7062, 2: 4.30265, 3: 3.18245 };
	if (exact[degrees]) return exact[degrees];
	const [z, n] = [Z, degrees];
	return z + (z ** 3 + z) / (4 * n) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * n ** 2) +
		(3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * n ** 3);
}

/** Bits of tokens spread over the words of a text: [{text, bits}], words with the blanks behind. */
export function byWord(text, offsets, nats) {
	const signs = [...text];
	const costs = new Float64Array(signs.length);
	offsets.forEach((at, k) => {
		const end = offsets[k + 1] ?? signs.length;
		if (nats[k] === null) return;
		for (let t = at; t < Math.max(end, at + 1) && t < signs.length; t += 1) costs[t] += nats[k] / Math.LN2 / Math.max(1, end - at);
	});
	const found = [];
	let now = null;
	signs.forEach((sign, t) => {
		const blank = /\s/.test(sign);
		if (!now || (now.closed && !blank)) found.push((now = { text: "", bits: 0, closed: false }));
		now.text += sign;
		now.bits += costs[t];
		now.closed ||= blank;
	});
	return found;
}
