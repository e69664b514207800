import { writeSync } from '#fs'
import { type Fields, type Level, type Logger, levels } from './logger.ts'

/**
 * Logs to standard error, one line an event: `text` as `level message key=value`, `json` as one
 * object with `time`, `level` and `msg`. Messages below `level` are dropped.
 */
export function stderrLogger(options: { level: Level; format: 'text' | 'json' }): Logger {
  const least = levels.indexOf(options.level)
  const render = options.format === 'json' ? renderJson : renderText
  const at =
    (level: Level) =>
    (message: string, fields: Fields = {}): void => {
      if (levels.indexOf(level) >= least) writeLine(render(level, message, fields))
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function writeLine(line: string): void {
  try {
    writeSync(2, `${line}\n`)
  } catch {
    // A closed or full standard error must not end a daemon, and there is nowhere else to say so.
  }
}

function renderText(level: Level, message: string, fields: Fields): string {
  return `${level.padEnd(5)} ${renderMessage(message, fields)}`
}

/** `message key=value`, on one line. */
export function renderMessage(message: string, fields: Fields = {}): string {
  const words = Object.entries(fields).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${quote(String(value))}`],
  )
  return [message.replaceAll('\n', ' '), ...words].join(' ')
}

function renderJson(level: Level, message: string, fields: Fields): string {
  return JSON.stringify({ time: new Date().toISOString(), level, msg: message, ...fields })
}

function quote(value: string): string {
  return /^[^\s"=\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value)
}
