/** A program to run, without a shell. */
export interface Command {
  readonly argv: readonly string[]
  /** Added to the daemon's own environment. */
  readonly env: Readonly<Record<string, string>>
  /** What it gets on standard input, and a line feed after it. */
  readonly input: string
}

/** What is run when a peer comes, and when it goes or is other than before. */
export interface PeerCommands {
  readonly add: Command | undefined
  readonly remove: Command | undefined
}

/** A command as the configuration has it: words, or a text for flannel's way of making words of it. */
export type CommandSpec = readonly string[] | string

/**
 * The program to run for a configured command. In words, `$NAME` and `${NAME}` stand for the value of
 * `variables`; other names are left alone, a shell that is asked for may know them. A text is parted
 * at white space, as flannel does since 0.28.2, and every name in it stands for its value in
 * `variables` or `environment`, or for nothing.
 */
export function makeCommand(
  spec: CommandSpec,
  variables: Readonly<Record<string, string>>,
  options: {
    readonly environment: Readonly<Record<string, string | undefined>>
    readonly input?: string
  },
): Command {
  const { environment, input = '' } = options
  const argv =
    typeof spec === 'string'
      ? wordsOf(spec).map((word) =>
          expand(word, (name) => variables[name] ?? environment[name] ?? ''),
        )
      : spec.map((word) => expand(word, (name) => variables[name]))
  return { argv, env: variables, input }
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

function expand(word: string, valueOf: (name: string) => string | undefined): string {
  return word.replaceAll(
    /\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g,
    (whole: string, braced?: string, bare?: string) => valueOf(braced ?? bare ?? '') ?? whole,
  )
}

export function sameCommand(a: Command | undefined, b: Command | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
