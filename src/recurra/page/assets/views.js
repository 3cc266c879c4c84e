// The views, in the order of their tabs. `fits` says which models a view is for.

import { classify } from "./classify.js";
import { compare } from "./compare.js";
import { dialogue } from "./dialogue.js";
import { draft } from "./draft.js";
import { forecast } from "./forecast.js";
import { read } from "./read.js";
import { tag } from "./tag.js";
import { transcribe } from "./transcribe.js";
import { translate } from "./translate.js";
import { units } from "./units.js";
import { whatif } from "./whatif.js";
import { write } from "./write.js";

export const VIEWS = [
	write, read, units, whatif, compare, draft, dialogue, classify, tag, forecast, translate, transcribe,
];
