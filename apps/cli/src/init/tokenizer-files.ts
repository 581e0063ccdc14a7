/** The tokenizer of a fresh model: its 256 bytes, or a vocabulary learned from a text, with begin and end of text. */
import { MarianaError, type ModelConfig } from '@mariana/core';
import { trainBpe } from '@mariana/tokenizer';

/** DeepSeek's names for the two. */
const BOS = '<｜begin▁of▁sentence｜>';
const EOS = '<｜end▁of▁sentence｜>';

export interface TokenizerFiles {
  /** Contents by file name. */
  readonly files: Readonly<Record<string, unknown>>;
  /** The config, without special tokens if the vocabulary has no room for them. */
  readonly config: ModelConfig;
}

/**
 * Makes `tokenizer.json` and `tokenizer_config.json` for a config.
 *
 * @param corpus - A text to learn words from, as many as the vocabulary holds. Without it tokens are bytes.
 * @throws MarianaError `INVALID_ARGUMENT` if the vocabulary does not hold the 256 bytes.
 */
export async function tokenizerFiles(config: ModelConfig, corpus: string | undefined): Promise<TokenizerFiles> {
  const { vocabSize } = config;
  if (vocabSize < 256) {
    throw new MarianaError(
      'INVALID_ARGUMENT',
      `a vocabulary of ${vocabSize} does not hold the 256 bytes of a tokenizer`,
    );
  }
  // Special tokens get the first ids, so they are what the config says only if it says 0 and 1.
  const hasSpecials = vocabSize >= 258 && config.bosTokenId === 0 && config.eosTokenId[0] === 1;
  const specialTokens = hasSpecials ? [BOS, EOS] : [];
  const tokenizerJson = await trainBpe(corpus === undefined ? [] : [corpus], {
    vocabSize: corpus === undefined ? 256 + specialTokens.length : vocabSize,
    specialTokens,
    bosToken: hasSpecials ? BOS : undefined,
  });
  const tokenizerConfig = {
    ...(hasSpecials && { add_bos_token: true, add_eos_token: false, bos_token: BOS, eos_token: EOS }),
    chat_template: chatTemplate(hasSpecials),
    clean_up_tokenization_spaces: false,
    model_max_length: config.maxPositionEmbeddings,
    tokenizer_class: 'PreTrainedTokenizerFast',
  };
  return {
    files: { 'tokenizer.json': tokenizerJson, 'tokenizer_config.json': tokenizerConfig },
    config: hasSpecials ? config : { ...config, bosTokenId: null, eosTokenId: [] },
  };
}

function chatTemplate(hasSpecials: boolean): string {
  const begin = hasSpecials ? '{{ bos_token }}' : '';
  const end = hasSpecials ? "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}" : '';
  const message = `{{ m['role'] }}: {{ m['content'] }}${end}{{ '\\n' }}`;
  return `${begin}{% for m in messages %}${message}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}`;
}
