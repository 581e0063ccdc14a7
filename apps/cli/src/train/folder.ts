/** The folder of a training run: what is in it, and who may begin there. */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MarianaError } from '@mariana/core';
import { writeFileAtomic } from '@mariana/core/node';
import { completeSettings, type GivenSettings, readRunSettings, readSettingsFile, type Settings } from './settings.ts';

/** The settings of a run that begins, or goes on, and whether it goes on. */
export async function settingsOfRun(
  file: string | undefined,
  flags: GivenSettings,
  resume: boolean,
): Promise<Settings> {
  const fromFile = file === undefined ? {} : await readSettingsFile(file);
  const out = flags.out ?? fromFile.out;
  if (!resume) {
    const settings = completeSettings(fromFile, flags);
    await checkEmpty(settings.out);
    return settings;
  }
  if (out === undefined) throw new MarianaError('USAGE', 'say which run is to go on with --out');
  const before = await readRunSettings(out);
  if (before === undefined) {
    throw new MarianaError('USAGE', `${out}: there is no run to go on with; leave --resume out to begin one`, {
      details: { folder: out },
    });
  }
  return completeSettings(before, fromFile, flags, { out });
}

async function checkEmpty(folder: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return;
    const what = code === 'ENOTDIR' ? 'this is a file, a folder was expected' : `cannot be read (${code})`;
    throw new MarianaError('FILE_WRITE_FAILED', `${folder}: ${what}; choose another place`, { cause });
  }
  if (names.length === 0) return;
  const advice = names.includes('train.json')
    ? 'there is a run in it; go on with --resume, or choose another folder'
    : 'there are files in it; choose another folder';
  throw new MarianaError('USAGE', `${folder}: ${advice}`, { details: { folder } });
}

/** Makes the folder. @throws MarianaError `FILE_WRITE_FAILED` */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MarianaError('FILE_WRITE_FAILED', `${folder}: cannot be made (${reason}); choose another place`, {
      cause,
    });
  }
}

/** Writes a text, or a value as JSON, into the folder; whole or not at all. @throws MarianaError `FILE_WRITE_FAILED` */
export async function writeInto(folder: string, name: string, content: unknown): Promise<void> {
  const text = typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`;
  await writeFileAtomic(join(folder, name), (sink) => sink.write(new TextEncoder().encode(text)));
}
