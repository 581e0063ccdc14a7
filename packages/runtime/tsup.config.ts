import { library } from '../../tooling/tsup.ts';

export default library({
  entry: {
    index: 'src/index.ts',
    'convert/index': 'src/convert/index.ts',
    'platform/node': 'src/platform/node.ts',
    'platform/browser': 'src/platform/browser.ts',
  },
  external: ['#platform'],
});
