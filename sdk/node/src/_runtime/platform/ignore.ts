/* What an ignore file leaves out, by the rules of gitignore(5). */

interface Rule {
  pattern: RegExp;
  isFolderOnly: boolean;
  isIgnored: boolean;
}

export class IgnoreRules {
  private readonly rules: Rule[];

  /** `base` is the folder of the file, "" or ending in a slash; of several files, the later ones count more. */
  constructor(
    private readonly base: string,
    text: string,
  ) {
    this.rules = text.split(/\r?\n/).flatMap(line => ruleOf(line) ?? []);
  }

  /** Whether the last rule that speaks of this path ignores it; null if none does. */
  verdict(path: string, isFolder: boolean): boolean | null {
    const inside = path.slice(this.base.length);
    for (let at = this.rules.length - 1; at >= 0; at--) {
      const rule = this.rules[at] as Rule;
      if ((isFolder || !rule.isFolderOnly) && rule.pattern.test(inside)) return rule.isIgnored;
    }
    return null;
  }
}

function ruleOf(line: string): Rule | null {
  let glob = line.replace(/(?<![\\ ]) +$|(?<=\\ ) +$/, "");
  if (glob === "" || glob.startsWith("#")) return null;
  const isIgnored = !glob.startsWith("!");
  if (!isIgnored) glob = glob.slice(1);
  const isFolderOnly = glob.endsWith("/");
  if (isFolderOnly) glob = glob.slice(0, -1);
  if (glob === "") return null;
  const isAnchored = glob.includes("/");
  if (glob.startsWith("/")) glob = glob.slice(1);
  const source = (isAnchored ? "" : "(?:.*/)?") + sourceOf(glob);
  try {
    return { pattern: new RegExp(`^${source}$`, "su"), isFolderOnly, isIgnored };
  } catch {
    return null; // a class that is none, such as [z-a], matches nothing
  }
}

function sourceOf(glob: string): string {
  let source = "";
  for (let at = 0; at < glob.length; ) {
    const [token, part] = next(glob, at);
    source += part;
    at += token;
  }
  return source;
}

/** The length of the glob's next token, and its regular expression. */
function next(glob: string, at: number): [number, string] {
  const rest = glob.slice(at);
  const isAtStart = at === 0 || glob[at - 1] === "/";
  const folders = isAtStart ? /^\*\*+(\/|$)/.exec(rest) : null;
  if (folders) return [folders[0].length, folders[1] ? "(?:.*/)?" : ".+"];
  const stars = /^\*+/.exec(rest)?.[0];
  if (stars) return [stars.length, "[^/]*"];
  if (rest.startsWith("?")) return [1, "[^/]"];
  const set = /^\[([!^]?)(\]?(?:\\.|\[:\w+:\]|[^\]\\])*)\]/s.exec(rest);
  if (set) return [set[0].length, `(?!/)[${set[1] ? "^" : ""}${setOf(set[2] as string)}]`];
  const letter = [...(rest.startsWith("\\") && rest.length > 1 ? rest.slice(1) : rest)][0] as string;
  return [letter.length + Number(rest.startsWith("\\") && rest.length > 1), escaped(letter)];
}

const CLASSES: Record<string, string> = {
  alnum: "a-zA-Z0-9",
  alpha: "a-zA-Z",
  digit: "0-9",
  lower: "a-z",
  space: "\\s",
  upper: "A-Z",
  xdigit: "0-9a-fA-F",
};

/** The inside of a class: what is special to expressions only is quoted, ranges stay. */
function setOf(text: string): string {
  return text.replace(/\[:(\w+):\]|\\(.)|([[\]^])/gsu, (all, name, quoted, special) => {
    if (name) return CLASSES[name] ?? all;
    const letter: string = quoted ?? special;
    return letter === "-" ? "\\-" : escaped(letter);
  });
}

function escaped(letter: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(letter) ? `\\${letter}` : letter;
}
