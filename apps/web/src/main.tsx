/** Where the page begins. */
import { render } from 'preact';
import './styles/index.css';
import { Frame } from './frame/frame.tsx';

render(<Frame />, document.getElementById('page')!);
