// The page for analysts at /sql. It shares words, session and looks with the wall, and none of its state.
import '@fontsource/barlow-condensed/latin-600.css';
import '@fontsource-variable/noto-sans-sc/index.css';
import './app.css';
import { mount } from 'svelte';
import SqlApp from './pages/SqlApp.svelte';

const target = document.getElementById('page');
if (target === null) throw new Error('sql.html has no #page');
mount(SqlApp, { target });
document.documentElement.setAttribute('data-started', '');
