import { library } from '../../tooling/tsup.ts';

// A program, not a library: nobody imports it, so it has no declarations. Commands become chunks of their own.
export default library({ entry: { main: 'src/main.ts' }, dts: false });
