// Loads the screen its path names, then hands over to the wall. When it cannot even begin, boot.js
// shows the figures as plain HTML; when it breaks later, `fallback` does.
import '@fontsource/barlow-condensed/latin-600.css';
import '@fontsource-variable/noto-sans-sc/index.css';
import './app.css';
import { mount } from 'svelte';
import App from './pages/App.svelte';

const target = document.getElementById('page');
if (target === null) throw new Error('index.html has no #page');
mount(App, { target });
document.documentElement.setAttribute('data-started', '');
