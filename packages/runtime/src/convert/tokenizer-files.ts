/** The tokenizer of a model as the files of a checkpoint, and as what a GGUF file says of one. */
import type { GgufTokenizerToWrite } from '@mariana/core';
import { Tokenizer, type TokenizerFiles } from '@mariana/tokenizer';

/** Contents by file name, as they are to be written. */
export function namedFiles(files: TokenizerFiles): Record<string, string> {
  const named = {
    'tokenizer.json': files.tokenizerJson,
    'tokenizer_config.json': files.tokenizerConfig,
    'generation_config.json': files.generationConfig,
    'chat_template.jinja': files.chatTemplate,
  };
  return Object.fromEntries(
    Object.entries(named).flatMap(([name, content]) => {
      if (content === undefined) return [];
      return [[name, typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`]];
    }),
  );
}

/** @throws MarianaError `TOKENIZER_INVALID` */
export function forGguf(files: TokenizerFiles): GgufTokenizerToWrite {
  // Made for its checks, and for what its files mean together: which token is which, and what goes around a text.
  const tokenizer = Tokenizer.fromFiles(files);
  const around = tokenizer.encode('');
  const { bosTokenId, eosTokenIds, eosTokenId, padTokenId } = tokenizer;
  return {
    tokenizerJson: files.tokenizerJson,
    bosTokenId,
    eosTokenIds,
    padTokenId,
    addBosToken: bosTokenId !== undefined && around[0] === bosTokenId,
    addEosToken: eosTokenId !== undefined && around.length > 0 && around.at(-1) === eosTokenId,
    chatTemplates: chatTemplates(files),
  };
}

function chatTemplates({ tokenizerConfig, chatTemplate }: TokenizerFiles): Map<string, string> {
  const config: unknown = typeof tokenizerConfig === 'string' ? JSON.parse(tokenizerConfig) : (tokenizerConfig ?? {});
  const given = (config as { readonly chat_template?: unknown }).chat_template ?? [];
  const named = typeof given === 'string' ? [{ name: 'default', template: given }] : given;
  const templates = new Map(
    (named as { name: string; template: string }[]).map(({ name, template }) => [name, template]),
  );
  if (chatTemplate !== undefined) templates.set('default', chatTemplate);
  return templates;
}
