// Two pages: the wall and the SQL page. Everything the strict content policy forbids (inlined assets as
// data: URIs, an inline preload shim) is switched off here, so a build cannot bring it back.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  base: '/',
  plugins: [svelte()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    rolldownOptions: { input: ['index.html', 'sql.html'] },
  },
  // A test reads the colours; without this a style sheet is empty there.
  test: { environment: 'node', include: ['src/**/*.test.ts'], css: true },
});
