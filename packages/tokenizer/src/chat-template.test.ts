/** Chat templates beyond DeepSeek's own: what a template may call, what it may refuse, and what it may not do. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deepseekConfig } from '../test/deepseek.ts';
import { byteLevelJson } from '../test/small-tokenizers.ts';
import { type ChatMessage, type ChatOptions, Tokenizer } from './index.ts';

const MESSAGES: ChatMessage[] = [
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello' },
];

function tokenizerWith(chatTemplate?: string, config: Record<string, unknown> = {}): Tokenizer {
  const tokenizerConfig = { bos_token: '<s>', eos_token: '</s>', ...config };
  return Tokenizer.fromFiles({ tokenizerJson: byteLevelJson(), tokenizerConfig, chatTemplate });
}

function render(template: string, options?: ChatOptions, messages = MESSAGES): string {
  return tokenizerWith(template).applyChatTemplate(messages, options);
}

function errorOf(action: () => unknown): unknown {
  try {
    return { result: action() };
  } catch (error) {
    return error;
  }
}

describe('a chat template', () => {
  it('sees messages, special tokens, tools, documents and variables', () => {
    const template =
      '{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m["content"] }}{{ eos_token }}\n{% endfor %}' +
      '{{ tools | tojson }} {{ documents is none }} {{ thinking }} {{ pad_token is defined }}' +
      '{% if add_generation_prompt %} assistant:{% endif %}';
    const options = { tools: [{ name: 'f' }], variables: { thinking: true }, addGenerationPrompt: true };
    expect(render(template, options)).toBe(
      '<s>user: Hi</s>\nassistant: Hello</s>\n[{"name": "f"}] true true false assistant:',
    );
  });

  it('is encoded without further special tokens', () => {
    const tokenizer = tokenizerWith('{{ bos_token }}the{{ eos_token }}', { add_bos_token: true });
    expect(tokenizer.encodeChat(MESSAGES)).toEqual([0, 259, 1]);
  });

  it('removes the line break after a block and the spaces before one, as Hugging Face does', () => {
    expect(render('a\n  {% if true %}\nb\n  {% endif %}\nc')).toBe('a\nb\nc');
  });

  it('may refuse a conversation', () => {
    expect(errorOf(() => render('{{ raise_exception("roles must alternate") }}'))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'The chat template refuses these messages: roles must alternate',
    });
  });

  it('knows the date', () => {
    expect(render('{{ strftime_now("%Y") }}')).toBe(String(new Date().getFullYear()));
  });

  it('counts with range', () => {
    expect(render('{% for i in range(3) %}{{ i }}{% endfor %}')).toBe('012');
    expect(render('{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}')).toBe('531');
    expect(render('{% for i in range(2, 2) %}{{ i }}{% endfor %}')).toBe('');
  });

  it.each([
    '{{ range(100001) }}',
    '{{ range(0, 1, 0) }}',
    '{{ range(1e9) }}',
    '{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}',
    '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
    '{{ messages | nofilter }}',
    '{{ nothing + 1 }}',
  ])('cannot hang or crash: %s', (template) => {
    expect(errorOf(() => render(template))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('goes before that of tokenizer_config.json, and one of several is picked by name or tools', () => {
    const chat_template = [
      { name: 'default', template: 'plain' },
      { name: 'tool_use', template: 'tools' },
      { name: 'rag', template: 'documents' },
    ];
    const tokenizer = tokenizerWith(undefined, { chat_template });
    expect(tokenizer.applyChatTemplate(MESSAGES)).toBe('plain');
    expect(tokenizer.applyChatTemplate(MESSAGES, { tools: [] })).toBe('tools');
    expect(tokenizer.applyChatTemplate(MESSAGES, { template: 'rag' })).toBe('documents');
    expect(tokenizerWith('file', { chat_template }).applyChatTemplate(MESSAGES)).toBe('file');
    expect(errorOf(() => tokenizer.applyChatTemplate(MESSAGES, { template: 'x' }))).toMatchObject({
      code: 'TOKENIZER_MISSING',
      message: expect.stringContaining('default, tool_use, rag'),
    });
  });

  it('is missed with a name of its own', () => {
    expect(tokenizerWith().hasChatTemplate()).toBe(false);
    expect(tokenizerWith('x').hasChatTemplate()).toBe(true);
    expect(errorOf(() => tokenizerWith().applyChatTemplate(MESSAGES))).toMatchObject({ code: 'TOKENIZER_MISSING' });
  });

  it.each([null, 'Hi', [{ content: 'Hi' }], [null], [{ role: 7 }]])('refuses %j as messages', (messages) => {
    const error = errorOf(() => render('x', {}, messages as never));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('refuses messages that contain themselves', () => {
    const message: Record<string, unknown> = { role: 'user' };
    message.content = message;
    expect(errorOf(() => render('x', {}, [message as never]))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('a damaged chat template', () => {
  const source = (JSON.parse(deepseekConfig) as { chat_template: string }).chat_template;
  const pieces = [
    '{%',
    '%}',
    '{{',
    '}}',
    '{#',
    "'",
    '"',
    '[',
    ')',
    'endfor',
    'endif',
    'for',
    ' in ',
    '|',
    '.',
    '-',
    '\\',
    '\n',
  ];

  it('is refused, or fails on messages, or works, and does nothing else', () => {
    let read = 0;
    const cut = fc.record({
      at: fc.nat(source.length),
      drop: fc.nat(30),
      insert: fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 4 })),
    });
    fc.assert(
      fc.property(fc.array(cut, { minLength: 1, maxLength: 3 }), (cuts) => {
        const damaged = cuts.reduce(
          (text, { at, drop, insert }) => text.slice(0, at) + insert + text.slice(at + drop),
          source,
        );
        const tokenizer = errorOf(() => tokenizerWith(damaged)) as { result?: Tokenizer };
        if (tokenizer.result === undefined) {
          expect(tokenizer).toMatchObject({ code: 'TOKENIZER_INVALID' });
          return;
        }
        read++;
        const outcome = errorOf(() => tokenizer.result?.applyChatTemplate(MESSAGES)) as { result?: unknown };
        if (outcome.result === undefined) expect(outcome).toMatchObject({ code: 'INVALID_ARGUMENT' });
        else expect(outcome.result).toBeTypeOf('string');
      }),
      { numRuns: 1000 },
    );
    expect(read).toBeGreaterThan(10);
  });
});
