// A link holds a text with its branches, where one stood, the settings, the view, and the hash of
// the state there: `#v1.` and base64url(deflate(JSON)), 8 kB at most. What comes in is checked.

const MOST = 8192;
const INFLATED = 1 << 18;
const NODES = 20_000;

export class LinkError extends Error {}

/** The link of a value; LinkError where it would be too long. */
export async function encode(value) {
	const bytes = new TextEncoder().encode(JSON.stringify(value));
	const packed = await through(bytes, new CompressionStream("deflate"), 1 << 22);
	let text = "";
	for (const byte of packed) text += String.fromCharCode(byte);
	const link = `#v1.${btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
	if (link.length > MOST) {
		throw new LinkError("This text is too long for a link: 8 kB at most. Copy the text instead.");
	}
	return link;
}

/** The value of a link; LinkError for anything else. */
export async function decode(link) {
	if (!link.startsWith("#v1.") || link.length > MOST || !/^[\w-]*$/.test(link.slice(4))) {
		throw new LinkError("This link is damaged, or of another version.");
	}
	let value;
	try {
		const text = atob(link.slice(4).replaceAll("-", "+").replaceAll("_", "/"));
		const bytes = Uint8Array.from(text, (sign) => sign.charCodeAt(0));
		const plain = await through(bytes, new DecompressionStream("deflate"), INFLATED);
		value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(plain));
	} catch (error) {
		throw error instanceof LinkError ? error : new LinkError("This link is damaged.");
	}
	return checked(value);
}

/** A value as a link may hold it; LinkError for anything else. */
export function checked(value) {
	const whole = (x, least, most) => Number.isSafeInteger(x) && x >= least && x <= most;
	const number = (x, least, most) => typeof x === "number" && x >= least && x <= most;
	const text = (x, most) => typeof x === "string" && x.length <= most;
	const is = (right) => {
		if (!right) throw new LinkError("This link is damaged: a value is out of its range.");
	};
	is(value !== null && typeof value === "object" && !Array.isArray(value));
	is(text(value.model, 200) && text(value.sha, 64) && text(value.view, 20) && /^[a-z]*$/.test(value.view));
	is(value.hash === null || text(value.hash, 64));
	is(Array.isArray(value.branches) && value.branches.length <= 1000);
	let count = 1;
	for (const branch of value.branches) {
		is(Array.isArray(branch) && branch.length === 2 && whole(branch[0], 0, count - 1));
		is(Array.isArray(branch[1]) && branch[1].length > 0 && branch[1].every((id) => whole(id, 0, 2 ** 31 - 1)));
		count += branch[1].length;
		is(count <= NODES);
	}
	is(whole(value.at, 0, count - 1));
	const set = value.settings;
	is(set !== null && typeof set === "object");
	is(number(set.temperature, 0, 2) && whole(set.top_k, 0, 1e6) && number(set.top_p, 0, 1) && set.top_p > 0);
	is(whole(set.seed, 0, Number.MAX_SAFE_INTEGER));
	const { temperature, top_k, top_p, seed } = set;
	const { model, sha, view, hash, branches, at } = value;
	return { model, sha, view, hash, branches, at, settings: { temperature, top_k, top_p, seed } };
}

async function through(bytes, stream, most) {
	const writer = stream.writable.getWriter();
	const written = writer.write(bytes).then(() => writer.close());
	written.catch(() => {});
	const reader = stream.readable.getReader();
	const parts = [];
	let length = 0;
	for (;;) {
		const { value, done } = await reader.read();
		if (done) break;
		length += value.length;
		if (length > most) {
			reader.cancel().catch(() => {});
			throw new LinkError("This link is damaged: it holds too much.");
		}
		parts.push(value);
	}
	await written;
	const whole = new Uint8Array(length);
	let at = 0;
	for (const part of parts) {
		whole.set(part, at);
		at += part.length;
	}
	return whole;
}
