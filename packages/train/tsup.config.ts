import { library } from '../../tooling/tsup.ts';

export default library({
  entry: {
    index: 'src/index.ts',
    node: 'src/node.ts',
    'platform/node': 'src/platform/node.ts',
    'platform/browser': 'src/platform/browser.ts',
  },
  external: ['#platform'],
});
